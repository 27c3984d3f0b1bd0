"""The test movies that the report shows: the model's extremes, chosen by numbers alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.schema import EXHIBITS
from tasks.core.settings import DataPaths
from tasks.report.page.sources import LABEL_AUDIT_FILE, LEADERBOARD_FILE, Model, Sources, read_sources
from tasks.stage import Stage, StageResult, run_stage

EXHIBITS_FILE: Final = "exhibits.parquet"
EACH: Final = 4  # movies per role; explaining one takes an encoder seconds
SUGGESTED: Final = 3  # number of a movie's highest scores that count as a model's suggestions


def write_exhibits(model_folders: Sequence[Path], paths: DataPaths) -> StageResult:
    """Choose the test movies that the report shows and write `exhibits.parquet` (`schema.EXHIBITS`) to the results.

    Raises:
        DataError: the leaderboard is missing or of other models, or a model's files cannot be read.
    """
    sources = read_sources(model_folders, paths)
    files = [model.folder / f"{name}_test.parquet" for model in sources.models for name in ("predictions", "scores")]
    kinds = [model.folder / "train.stage.json" for model in sources.models]
    audit = paths.results / LABEL_AUDIT_FILE
    inputs = (paths.results / LEADERBOARD_FILE, *files, *(path for path in (*kinds, audit) if path.is_file()))
    stage = Stage("exhibits", paths.results, (EXHIBITS_FILE,), inputs, {}, (Path(__file__),), ("numpy", "polars"))

    def build(folder: Path) -> Mapping[str, Any]:
        exhibits = choose_exhibits(sources)
        exhibits.write_parquet(folder / EXHIBITS_FILE)
        rival = sources.rival.name if sources.rival else None
        return {"rival": rival, **dict(exhibits.group_by("role", maintain_order=True).len().iter_rows())}

    return run_stage(stage, build)


def choose_exhibits(sources: Sources) -> pl.DataFrame:
    """Return `schema.EXHIBITS`: at most `EACH` movies of each role, ranked.

    - good: exactly right, with the highest scores, several genres before one; each set of genres once.
    - bad: no genre right, with the highest scores of wrong genres; each set of predicted genres once.
    - disagreement: the greatest differences in Jaccard between the best model and its rival; the rival wins half.
    - impossible: see `impossible_movies`.
    - doubtful: the first test movies of the label audit.
    """
    ids = sources.best.predictions["movie_id"].to_list()
    row_of = {movie: row for row, movie in enumerate(ids)}
    doubted = [] if sources.audit is None else sources.audit["movie_id"].unique(maintain_order=True).to_list()
    rows = {
        "good": _good(sources.best),
        "bad": _bad(sources.best),
        "disagreement": _disagreements(sources.best, sources.rival) if sources.rival else [],
        "impossible": impossible_movies(sources.models)[:EACH],
        "doubtful": [row_of[movie] for movie in doubted if movie in row_of][:EACH],
    }
    chosen = [(ids[row], role, rank) for role, found in rows.items() for rank, row in enumerate(found, start=1)]
    return pl.DataFrame(chosen, schema=EXHIBITS, orient="row")


def impossible_movies(models: Sequence[Model]) -> list[int]:
    """Return the rows of movies for which no model gets any genre right or nearly, the worst first.

    Nearly: one of the movie's genres is among the `SUGGESTED` highest scores. Only scores of one movie and model are
    compared, since not all scores are probabilities.
    """
    wrong = np.all([model.jaccard == 0 for model in models], axis=0)
    ranks = np.array([_best_rank_of_true(model) for model in models])
    rows = np.flatnonzero(wrong & np.all(ranks > SUGGESTED, axis=0))
    return list(rows[np.argsort(-ranks[:, rows].mean(axis=0), kind="stable")].tolist())


def _best_rank_of_true(model: Model) -> NDArray[np.int64]:
    """Return the rank, from 1, of the highest score among a movie's true genres; equal scores share the best rank."""
    own = np.where(model.truth, model.scores.scores, -np.inf).max(axis=1)
    higher: NDArray[np.int64] = (model.scores.scores > own[:, None]).sum(axis=1)
    return higher + 1


def _good(model: Model) -> list[int]:
    rows = np.flatnonzero(model.jaccard == 1)
    scores = np.where(model.truth, model.scores.scores, np.inf).min(axis=1)
    has_several = model.truth.sum(axis=1) > 1
    order = rows[np.lexsort((-scores[rows], ~has_several[rows]))]
    return _each_once(order, model.truth)


def _bad(model: Model) -> list[int]:
    rows = np.flatnonzero((model.jaccard == 0) & model.decided.any(axis=1))
    wrong = np.where(model.decided, model.scores.scores, -np.inf).max(axis=1)
    own = np.where(model.truth, model.scores.scores, 0).max(axis=1)
    order = rows[np.argsort(-(wrong - own)[rows], kind="stable")]
    return _each_once(order, model.decided)


def _disagreements(best: Model, rival: Model) -> list[int]:
    difference = np.nan_to_num(best.jaccard - rival.jaccard)
    distance = np.zeros(len(difference))
    if best.scores.genres == rival.scores.genres:
        distance = np.abs(best.scores.scores - rival.scores.scores).sum(axis=1)
    order = np.lexsort((-distance, -np.abs(difference)))
    ahead = [int(row) for row in order if difference[row] > 0]
    behind = [int(row) for row in order if difference[row] < 0]
    return [*ahead[: EACH - EACH // 2], *behind[: EACH // 2]]


def _each_once(rows: Iterable[int], sets: NDArray[np.bool_]) -> list[int]:
    """Return the first `EACH` rows with different sets of genres."""
    first: dict[bytes, int] = {}
    for row in rows:
        first.setdefault(sets[row].tobytes(), int(row))
    return list(first.values())[:EACH]
