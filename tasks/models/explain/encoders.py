"""Explanations of encoders: integrated gradients of tokens, summed to words."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

from tasks.models.encoder.frozen import FrozenEncoder
from tasks.models.encoder.model import TransformerModel
from tasks.models.encoder.network import choose_device, mean_pool, padding_id
from tasks.models.explain.pieces import NONE, ExplainedMovies, Explanation, Matrix, Reading, trace_template

# Integration steps; the second number only if the first leaves a difference above the tolerance. For a fine-tuned
# MiniLM, 16 leave 0.1 on average and 8 leave 1; for a frozen one, 8 leave 0.002.
TUNED_STEPS: Final = (16, 64)
FROZEN_STEPS: Final = (8, 32)
TOLERANCE: Final = 0.15  # log-odds
ROWS_AT_ONCE: Final = 64

Offsets = list[tuple[int, int]]  # start and end of each token in the text; both 0 for special tokens

Attributed = tuple[Offsets, Explanation]  # its pieces are the tokens


class FrozenHead(nn.Module):
    """A linear model, without its bias, of an encoder's pooled output of unit length: ids to (texts × genres)."""

    def __init__(self, vectorizer: FrozenEncoder, weights: Matrix) -> None:
        super().__init__()
        self.encoder, _ = vectorizer.network_and_tokenizer()
        self.weights = nn.Parameter(torch.from_numpy(weights * vectorizer.weight).float(), requires_grad=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the contribution of the encoder's columns to the log-odds."""
        pooled = mean_pool(self.encoder, input_ids, attention_mask)
        return nn.functional.normalize(pooled, dim=1) @ self.weights


def explain_tuned(model: TransformerModel, movies: ExplainedMovies) -> list[Explanation]:
    """Explain a fine-tuned encoder.

    The rest is what the template's words and special tokens add, and the error of the integral (`TOLERANCE`). Words
    beyond `max_tokens` add nothing.
    """
    readings = trace_template(movies.table, model.spec.input, model.spec.template, movies.pieces)
    return _explanations(attribute_tuned(model, [reading.text for reading in readings], movies.asked), readings, movies)


def explain_frozen(
    vectorizer: FrozenEncoder, weights: Matrix, movies: ExplainedMovies, readings: Sequence[Reading]
) -> list[Explanation]:
    """Explain what a frozen encoder's columns add, given their (columns × genres) weights."""
    _, tokenizer = vectorizer.network_and_tokenizer()
    network, texts = FrozenHead(vectorizer, weights), [reading.text for reading in readings]
    attributed = _attribute(network, (tokenizer, vectorizer.max_tokens), texts, movies.asked, FROZEN_STEPS)
    return _explanations(attributed, readings, movies)


def attribute_tuned(model: TransformerModel, texts: Sequence[str], asked: Sequence[Sequence[int]]) -> list[Attributed]:
    """Attribute a fine-tuned encoder's log-odds of the asked genres (columns) of each text to its tokens."""
    return _attribute(model.network, (model.tokenizer, model.spec.max_tokens), texts, asked, TUNED_STEPS)


def _attribute(
    network: Any, reader: tuple[Any, int], texts: Sequence[str], asked: Sequence[Sequence[int]], steps: Sequence[int]
) -> list[Attributed]:
    """Integrate gradients through the word embeddings, from padding (special tokens kept) to each text.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks.
    """
    tokenizer, max_tokens = reader
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    network = network.to(choose_device()).eval().requires_grad_(False)  # only the word embeddings have gradients
    attributed = []
    for encoding, columns in zip(map(tokenizer.encode, texts), map(np.array, asked), strict=True):
        ids = torch.tensor([encoding.ids], device=choose_device())
        is_special = torch.tensor([encoding.special_tokens_mask], device=ids.device).bool()
        baseline = torch.where(is_special, ids, padding_id(network.encoder))
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            ends = network(torch.cat([baseline, ids]), mask.repeat(2, 1)).double().cpu().numpy()
        base, value = ends[:, list(columns)]
        contributions = np.zeros((ids.shape[1], len(columns)))
        inexact = np.arange(len(columns))
        for n_steps in steps:
            if inexact.size:
                chosen = columns[inexact].tolist()
                contributions[:, inexact] = _integrate(network, (ids, baseline, mask), chosen, n_steps)
                inexact = np.flatnonzero(np.abs(contributions.sum(axis=0) - (value - base)) > TOLERANCE)
        attributed.append((encoding.offsets, Explanation("integrated-gradients", base, value, contributions)))
    return attributed


def _integrate(network: Any, path: tuple[Tensor, Tensor, Tensor], columns: list[int], n_steps: int) -> Matrix:
    """Return the attributions of ids, given with their baseline and mask, (tokens × columns)."""
    ids, baseline, mask = (end.repeat(len(columns), 1) for end in path)
    attributed = LayerIntegratedGradients(network, network.encoder.get_input_embeddings()).attribute(
        ids,
        baselines=baseline,
        target=torch.tensor(columns, device=ids.device),
        additional_forward_args=(mask,),
        n_steps=n_steps,
        method="gausslegendre",
        internal_batch_size=ROWS_AT_ONCE,
    )
    contributions: Matrix = attributed.double().sum(dim=-1).T.cpu().numpy()
    return contributions


def _explanations(
    attributed: Sequence[Attributed], readings: Sequence[Reading], movies: ExplainedMovies
) -> list[Explanation]:
    """Sum the tokens of each piece; a token belongs to the piece of its first character that has one."""
    explained = []
    for (offsets, of_tokens), reading, pieces in zip(attributed, readings, movies.pieces, strict=True):
        spans = (reading.origins[start:end].tolist() for start, end in offsets)
        origins = [next((origin for origin in span if origin != NONE), NONE) for span in spans]
        contributions = np.zeros((len(pieces) + 1, len(of_tokens.base)))  # the last row is for NONE
        np.add.at(contributions, origins, of_tokens.contributions)
        explained.append(replace(of_tokens, contributions=contributions[:-1]))
    return explained
