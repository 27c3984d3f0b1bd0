"""Explanations of any classifier at all by Shapley values: pieces put in one after the other, in random orders.

Owns the orders and their mean. A model is asked for its scores only, so it may be whatever it is.
"""

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.decision.calibration import log_odds
from tasks.models.ensemble import CLIP
from tasks.models.explain.explanation import Explanation
from tasks.models.explain.pieces import FIELDS, TEXTS, ExplainedMovies, Piece, rows_with, texts_of
from tasks.models.genre_model import GenreModel
from tasks.models.vectorizers import SideFields

N_ORDERS: Final = 10  # every second one is the one before, backwards: what one puts in early the other puts in late

ROW: Final = pl.Schema(
    {
        "movie_name": pl.String(),
        "description": pl.String(),
        "year": pl.Int32(),
        "certificate": pl.String(),
        "runtime_min": pl.Int32(),
        "directors": pl.List(pl.String()),
        "stars": pl.List(pl.String()),
        "own_fields": pl.List(pl.String()),
    }
)


def explain_by_sampling(
    model: GenreModel, movies: ExplainedMovies, seed: int, n_orders: int = N_ORDERS
) -> list[Explanation]:
    """Explain each movie by what its pieces add to the log-odds where they come in, averaged over orders.

    Contributions sum to the difference exactly, whatever the number of orders; each is an unbiased estimate. Log-odds
    are those of scores between `ensemble.CLIP` and 1 - `CLIP`, as some classifiers are sure. A movie's explanation does
    not depend on the others.

    Source: Castro, Gómez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling; Štrumbelj and
    Kononenko 2014, Explaining prediction models and individual predictions with feature contributions.
    """
    texts = texts_of(movies.table)
    return [
        _explain_one(model, (text, pieces, list(asked)), seed, n_orders)
        for text, pieces, asked in zip(texts, movies.pieces, movies.asked, strict=True)
    ]


def _explain_one(
    model: GenreModel, movie: tuple[tuple[str, str], Sequence[Piece], list[int]], seed: int, n_orders: int
) -> Explanation:
    text, pieces, asked = movie
    players = _read_pieces(model, pieces)
    orders = _draw_orders(players, n_orders, [seed, zlib.crc32("\n".join(text).encode("utf-8", "surrogatepass"))])
    n_players = len(players)
    present = np.zeros((n_orders, n_players + 1, len(pieces)), dtype=np.bool_)
    for number, order in enumerate(orders):
        for step, player in enumerate(order, start=1):
            present[number, step:, player] = True
    rows = rows_with(text, pieces, present.reshape(-1, len(pieces)))
    scores = model.scores(pl.DataFrame(rows, schema=ROW))[:, asked]
    values = log_odds(scores, CLIP).reshape(n_orders, n_players + 1, len(asked))
    values[:, 0], values[:, -1] = values[0, 0], values[0, -1]  # equal but for the last digits, which depend on batches
    contributions = np.zeros((len(pieces), len(asked)))
    for order, steps in zip(orders, np.diff(values, axis=1), strict=True):
        contributions[order] += steps / n_orders
    return Explanation("shapley", values[0, 0], values[0, -1], contributions)


def _draw_orders(players: NDArray[np.int64], n_orders: int, seed: Sequence[int]) -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(players) for _ in range((n_orders + 1) // 2)]
    return [order for forwards in drawn for order in (forwards, forwards[::-1])][:n_orders]


def _read_pieces(model: GenreModel, pieces: Sequence[Piece]) -> NDArray[np.int64]:
    """Return the numbers of the pieces that a model reads; the others can add nothing."""
    sources = {"description"} | ({"movie_name"} if model.spec.input.title else set())
    for vectorizer in model.vectorizers:
        if isinstance(vectorizer, SideFields):
            sources |= {"year" if field == "decade" else field for field in vectorizer.fields}
            if "own" in vectorizer.fields:
                sources |= {piece.source for piece in pieces}.difference(TEXTS, FIELDS)
    return np.array([number for number, piece in enumerate(pieces) if piece.source in sources], dtype=np.int64)
