"""The served classifier: a fitted model, its decision rules and its genres, from tables to genres.

It is stored as plain files, which MLflow loads through `tasks.models.served`.
"""

import gc
import json
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, Union

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import DataError, ModelError
from tasks.decision.calibration import log_odds, logistic
from tasks.decision.rules import Rule, parse_rule, rules_from_json
from tasks.models.pipeline import MODEL_FILE, GenreModel
from tasks.models.spec import Precision

if TYPE_CHECKING:
    from tasks.models.encoder.model import TransformerModel

MEMBERS: Final = "members"
CLIP: Final = 1e-3  # bounds the influence of scores near 0 and 1, which neighbours often give
RULES_FILE: Final = "rules.json"
MODEL_FOLDER: Final = "model"
ROWS_AT_ONCE: Final = 10_000  # bounds the memory of a prediction

Scores = NDArray[np.float32]
SingleModel = Union[GenreModel, "TransformerModel"]  # torch takes seconds to import
# One per member, or one per member and genre, optionally followed by the biases of the genres.
Weights = tuple[float | tuple[float, ...], ...]


class EnsembleModel:
    """Scores `logistic(sum over members of weight * log-odds(score))`."""

    def __init__(self, name: str, members: dict[str, SingleModel], weights: Weights) -> None:
        self.name, self.members, self.weights = name, members, weights
        self.genres = next(iter(members.values())).genres

    def scores(self, movies: pl.DataFrame) -> Scores:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        return blend([member.scores(movies) for member in self.members.values()], self.weights)

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The extra columns that its members read."""
        return tuple(sorted({name for member in self.members.values() for name in member.own_fields}))

    @property
    def precision(self) -> Precision:
        """The precision of members that are fine-tuned encoders."""
        return next(iter(self.members.values())).precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        for member in self.members.values():
            member.precision = precision

    def save(self, folder: Path) -> None:
        """Write the weights and every member into an existing folder."""
        stored: dict[str, Any] = {"name": self.name, "genres": self.genres, "own_fields": self.own_fields}
        stored |= {MEMBERS: list(self.members), "weights": self.weights}
        (folder / MODEL_FILE).write_text(json.dumps(stored, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, member in self.members.items():
            (folder / MEMBERS / name).mkdir(parents=True)
            member.save(folder / MEMBERS / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; errors as `load_model`."""
        stored = _read_stored(folder)
        try:
            names = [str(name) for name in stored[MEMBERS]]
            weights = tuple(tuple(map(float, w)) if isinstance(w, list) else float(w) for w in stored["weights"])
            members = {name: load_single(folder / MEMBERS / name) for name in names}
            widths = {1 if isinstance(weight, float) else len(weight) for weight in weights}
            is_consistent = len(weights) - len(members) in (0, 1) and widths <= {1, len(stored["genres"])}
            if not is_consistent or {member.genres for member in members.values()} != {tuple(stored["genres"])}:
                raise ModelError(f"{folder / MODEL_FILE}: weights, members and genres do not belong together")
            return cls(str(stored["name"]), members, weights)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error


def blend(scores: list[Scores], weights: Weights) -> Scores:
    """Return the blended scores of members' scores, each (movies × genres)."""
    biases = weights[len(scores) :]
    total = np.tile(np.asarray(biases[0]), (len(scores[0]), 1)) if biases else np.zeros(scores[0].shape)
    for member, weight in zip(scores, weights, strict=False):
        total += np.asarray(weight) * log_odds(member, CLIP)
    return logistic(total).astype(np.float32)


def load_single(folder: Path) -> SingleModel:
    """Read a stored model that is not an ensemble; errors as `load_model`."""
    if "encoder" not in _read_stored(folder):
        return GenreModel.load(folder)
    from tasks.models.encoder.model import TransformerModel  # noqa: PLC0415 - torch takes seconds to import

    return TransformerModel.load(folder)


def load_model(folder: Path) -> SingleModel | EnsembleModel:
    """Read a stored model; a ModelError if a file is missing or damaged."""
    return EnsembleModel.load(folder) if MEMBERS in _read_stored(folder) else load_single(folder)


def _read_stored(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error


class GenreClassifier:
    """A fitted model with the rules that turn its scores into genres; `rule` names the default one."""

    def __init__(self, model: SingleModel | EnsembleModel, rules: dict[str, Rule], rule: str) -> None:
        self.model, self.rules, self.rule = model, rules, rule

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name if isinstance(self.model, EnsembleModel) else self.model.spec.name

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres, in the order of the score columns."""
        return self.model.genres

    def predict(self, movies: pl.DataFrame, rule: str | None = None) -> pl.DataFrame:
        """Return `genres` (names joined by ", ", empty if none) and one `score_<Genre>` per genre, for each movie.

        `movies` need `description` (else a DataError), and may have `movie_name` and the columns of
        `tasks.models.inputs.read_fields`; null counts as empty. `rule` is a stored rule, or as in
        `tasks.decision.rules.parse_rule` (a ConfigError if there is none); default: the model's own.
        """
        chosen = parse_rule(rule or self.rule, self.rules, self.genres)
        pieces = []
        for start in range(0, max(movies.height, 1), ROWS_AT_ONCE):
            scores = self.model.scores(movies.slice(start, ROWS_AT_ONCE))
            names = [", ".join(compress(self.genres, row)) for row in chosen.decide(scores)]
            columns = {f"score_{genre}": scores[:, column] for column, genre in enumerate(self.genres)}
            pieces.append(pl.DataFrame({"genres": names, **columns}, schema_overrides={"genres": pl.String}))
        return pl.concat(pieces)

    @classmethod
    def load(cls, folder: Path, precision: Precision = "float32") -> Self:
        """Read `model/` and `rules.json` from a folder; errors as `load_model`."""
        try:
            stored = json.loads((folder / RULES_FILE).read_text(encoding="utf-8"))
            rules = rules_from_json(stored["rules"])
            rule = next(name for name in rules if name == stored["chosen"])
        except (OSError, ValueError, KeyError, TypeError, StopIteration, DataError) as error:
            raise ModelError(f"{folder / RULES_FILE} is missing or damaged ({error}); train the model again") from error
        loaded = cls(load_model(folder / MODEL_FOLDER), rules, rule)
        loaded.model.precision = precision
        # The model stays in memory, so the garbage collector need not scan it: this cuts the 99th percentile of a
        # server's response times to a third.
        gc.collect()
        gc.freeze()
        return loaded
