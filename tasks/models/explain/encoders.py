"""Explanations of encoders: integrated gradients, the tokens summed to words. Owns the way from tokens to pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.models.encoder.frozen import FrozenEncoder
from tasks.models.encoder.model import TransformerModel
from tasks.models.encoder.network import choose_device, mean_pool
from tasks.models.explain.pieces import NONE, ExplainedMovies, Explanation, Matrix, Reading, trace_template

# Steps on the path; more only where fewer leave a difference above the tolerance. Of a fine-tuned MiniLM, 16 leave 0.1
# in the mean, and 8 leave 1; of a frozen one, 8 leave 0.002.
TUNED_STEPS: Final = (16, 64)
FROZEN_STEPS: Final = (8, 32)
TOLERANCE: Final = 0.15  # log-odds
ROWS_AT_ONCE: Final = 64


class Encoding(Protocol):
    """A text as the `tokenizers` library encodes it."""

    ids: list[int]
    special_tokens_mask: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class Attributed:
    """What each token of a text adds to the log-odds of some genres.

    Attributes:
        offsets: (tokens × 2), the characters of the text that each token is of; both 0 for the encoder's own marks.
        contributions: (tokens × genres).
        base: (genres,) the log-odds of as many padding tokens.
        value: (genres,) the log-odds of the text.
    """

    offsets: NDArray[np.int64]
    contributions: NDArray[np.float64]
    base: NDArray[np.float64]
    value: NDArray[np.float64]


class FrozenHead(nn.Module):
    """A linear model of an encoder's pooled output of unit length, without its bias: ids to (texts × genres)."""

    def __init__(self, vectorizer: FrozenEncoder, weights: NDArray[np.float64]) -> None:
        super().__init__()
        self.encoder, _ = vectorizer.parts()
        self.weights = nn.Parameter(torch.from_numpy(weights * vectorizer.weight).float(), requires_grad=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return what the encoder's columns add to the log-odds."""
        pooled = mean_pool(self.encoder, input_ids, attention_mask)
        return nn.functional.normalize(pooled, dim=1) @ self.weights


def attribute_tuned(model: TransformerModel, texts: Sequence[str], asked: Sequence[Sequence[int]]) -> list[Attributed]:
    """Attribute a fine-tuned encoder's log-odds of the asked genres (columns) of each text to its tokens."""
    return _attribute(model.network, (model.tokenizer, model.spec.max_tokens), texts, asked, TUNED_STEPS)


def attribute_frozen(
    vectorizer: FrozenEncoder, weights: NDArray[np.float64], texts: Sequence[str], asked: Sequence[Sequence[int]]
) -> list[Attributed]:
    """Attribute what an encoder's columns, (columns × genres) weights, add to the log-odds to a text's tokens."""
    _, tokenizer = vectorizer.parts()
    return _attribute(FrozenHead(vectorizer, weights), (tokenizer, vectorizer.max_tokens), texts, asked, FROZEN_STEPS)


def _attribute(
    network: Any, reader: tuple[Any, int], texts: Sequence[str], asked: Sequence[Sequence[int]], steps: Sequence[int]
) -> list[Attributed]:
    """Integrate the gradients from padding to each text, the encoder's own marks kept, through the words' embeddings.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks.
    """
    tokenizer, max_tokens = reader
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    network = network.to(choose_device()).eval().requires_grad_(False)  # the words' embeddings alone have gradients
    return [
        _attribute_one(network, tokenizer.encode(text), list(columns), steps)
        for text, columns in zip(texts, asked, strict=True)
    ]


def _attribute_one(network: Any, encoding: Encoding, columns: list[int], steps: Sequence[int]) -> Attributed:
    device = choose_device()
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    ids = torch.tensor([encoding.ids], device=device)
    is_mark = torch.tensor([encoding.special_tokens_mask], device=device).bool()
    baseline = torch.where(is_mark, ids, network.encoder.config.pad_token_id or 0)
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        ends = network(torch.cat([baseline, ids]), mask.repeat(2, 1))[:, columns].double().cpu().numpy()
    base, value = ends
    contributions = np.zeros((ids.shape[1], len(columns)))
    open_columns = np.arange(len(columns))
    for n_steps in steps:
        if not open_columns.size:
            break
        contributions[:, open_columns] = _integrate(
            network, (ids, baseline, mask), [columns[place] for place in open_columns], n_steps
        )
        differences = np.abs(contributions.sum(axis=0) - (value - base))
        open_columns = np.flatnonzero(differences > TOLERANCE)
    return Attributed(offsets, contributions, base, value)


def _integrate(
    network: Any, path: tuple[Tensor, Tensor, Tensor], columns: list[int], n_steps: int
) -> NDArray[np.float64]:
    """Return (tokens × columns)."""
    ids, baseline, mask = (end.repeat(len(columns), 1) for end in path)
    gradients = LayerIntegratedGradients(network, network.encoder.get_input_embeddings())
    attributed = gradients.attribute(
        ids,
        baselines=baseline,
        target=torch.tensor(columns, device=ids.device),
        additional_forward_args=(mask,),
        n_steps=n_steps,
        method="gausslegendre",
        internal_batch_size=ROWS_AT_ONCE,
    )
    contributions: NDArray[np.float64] = attributed.double().sum(dim=-1).T.cpu().numpy()
    return contributions


def explain_tuned(model: "TransformerModel", movies: ExplainedMovies) -> list[Explanation]:
    """Explain a fine-tuned encoder.

    What the words of its template and the encoder's own marks add is of no piece, and so is what the integral is off by
    (`gradients.TOLERANCE`); words beyond the encoder's length add nothing.
    """
    readings = trace_template(movies.table, model.spec.input, model.spec.template, movies.pieces)
    attributed = attribute_tuned(model, [reading.text for reading in readings], movies.asked)
    return _explanations(attributed, readings, movies)


def explain_frozen(
    vectorizer: "FrozenEncoder", weights: Matrix, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    """Explain what a frozen encoder's columns add, given their (columns × genres) weights."""
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
