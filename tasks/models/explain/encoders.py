"""Explanations of encoders: integrated gradients, the tokens summed to words. Owns the way from tokens to pieces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tasks.models.explain.explanation import Explanation, Matrix
from tasks.models.explain.pieces import ExplainedMovies
from tasks.models.explain.reading import NONE, Reading, trace_template

if TYPE_CHECKING:
    from tasks.models.encoder.frozen import FrozenEncoder
    from tasks.models.encoder.model import TransformerModel
    from tasks.models.explain.gradients import Attributed


def explain_tuned(model: "TransformerModel", movies: ExplainedMovies) -> list[Explanation]:
    """Explain a fine-tuned encoder.

    What the words of its template and the encoder's own marks add is of no piece, and so is what the integral is off by
    (`gradients.TOLERANCE`); words beyond the encoder's length add nothing.
    """
    from tasks.models.explain.gradients import attribute_tuned  # noqa: PLC0415 - torch takes seconds to import

    readings = trace_template(movies.table, model.spec.input, model.spec.template, movies.pieces)
    attributed = attribute_tuned(model, [reading.text for reading in readings], movies.asked)
    return _explanations(attributed, readings, movies)


def explain_frozen(
    vectorizer: "FrozenEncoder", weights: Matrix, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    """Explain what a frozen encoder's columns add, given their (columns × genres) weights."""
    from tasks.models.explain.gradients import attribute_frozen  # noqa: PLC0415 - as above

    attributed = attribute_frozen(vectorizer, weights, [reading.text for reading in readings], movies.asked)
    return _explanations(attributed, readings, movies)


def _explanations(
    attributed: Sequence["Attributed"], readings: Sequence[Reading], movies: ExplainedMovies
) -> list[Explanation]:
    explained = []
    for of_text, reading, pieces in zip(attributed, readings, movies.pieces, strict=True):
        origins = [_origin(reading, start, end) for start, end in of_text.offsets.tolist()]
        contributions = np.zeros((len(pieces) + 1, len(of_text.base)))  # the last row is for NONE
        np.add.at(contributions, origins, of_text.contributions)
        explained.append(Explanation("integrated-gradients", of_text.base, of_text.value, contributions[:-1]))
    return explained


def _origin(reading: Reading, start: int, end: int) -> int:
    """Return the piece of the first character of a token that is from one."""
    return next((origin for origin in reading.origins[start:end].tolist() if origin != NONE), NONE)
