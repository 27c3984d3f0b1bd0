"""The report's sections about single movies, chosen by numbers alone, and about the best model's predictions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.page import Picture, Section, Text, highlight_html, listed, signed
from tasks.core.schema import EXHIBITS
from tasks.core.settings import DataPaths
from tasks.report.figures import draw_calibration, draw_lengths, draw_set_sizes
from tasks.report.sources import LABEL_AUDIT_FILE, LEADERBOARD_FILE, Model, Sources, optional_table, read_sources, say
from tasks.stage import Stage, StageResult, run_stage

EXHIBITS_FILE: Final = "exhibits.parquet"
EACH: Final = 4  # movies per role; explaining one takes an encoder seconds
SUGGESTED: Final = 3  # number of a movie's highest scores that count as a model's suggestions


def write_exhibits(model_folders: Sequence[Path], paths: DataPaths) -> StageResult:
    """Choose the test movies that the report shows and write `exhibits.parquet` (`schema.EXHIBITS`) to the results."""
    sources = read_sources(model_folders, paths)
    files = [model.folder / f"{name}_test.parquet" for model in sources.models for name in ("predictions", "scores")]
    optional = [paths.results / LABEL_AUDIT_FILE, *(model.folder / "train.stage.json" for model in sources.models)]
    inputs = (paths.results / LEADERBOARD_FILE, *files, *filter(Path.is_file, optional))
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
    best, ids = sources.best, sources.best.predictions["movie_id"].to_list()
    row_of = {movie: row for row, movie in enumerate(ids)}
    doubted = [] if sources.audit is None else sources.audit["movie_id"].unique(maintain_order=True).to_list()
    scores, n_true = best.scores.scores, best.truth.sum(axis=1)
    good, bad = np.flatnonzero(best.jaccard == 1), np.flatnonzero((best.jaccard == 0) & best.decided.any(axis=1))
    lowest_true = np.where(best.truth, scores, np.inf).min(axis=1)
    wrong = np.where(best.decided, scores, -np.inf).max(axis=1) - np.where(best.truth, scores, 0).max(axis=1)
    rows = {
        "good": _each_once(good[np.lexsort((-lowest_true[good], n_true[good] <= 1))], best.truth),
        "bad": _each_once(bad[np.argsort(-wrong[bad], kind="stable")], best.decided),
        "disagreement": _disagreements(best, sources.rival) if sources.rival else [],
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
    ranks = []
    for model in models:
        own = np.where(model.truth, model.scores.scores, -np.inf).max(axis=1, keepdims=True)
        ranks.append(1 + (model.scores.scores > own).sum(axis=1))  # of the highest true genre; equal scores share one
    rows = np.flatnonzero(wrong & np.all(np.array(ranks) > SUGGESTED, axis=0))
    return list(rows[np.argsort(-np.array(ranks)[:, rows].mean(axis=0), kind="stable")].tolist())


def _each_once(rows: Iterable[int], sets: NDArray[np.bool_]) -> list[int]:
    """Return the first `EACH` rows with different sets of genres."""
    first: dict[bytes, int] = {}
    for row in rows:
        first.setdefault(sets[row].tobytes(), int(row))
    return list(first.values())[:EACH]


def _disagreements(best: Model, rival: Model) -> list[int]:
    difference = np.nan_to_num(best.jaccard - rival.jaccard)
    distance = np.zeros(len(difference))
    if best.scores.genres == rival.scores.genres:
        distance = np.abs(best.scores.scores - rival.scores.scores).sum(axis=1)
    order = np.lexsort((-distance, -np.abs(difference)))
    ahead, behind = order[difference[order] > 0], order[difference[order] < 0]
    return [*ahead[: EACH - EACH // 2].tolist(), *behind[: EACH // 2].tolist()]


PIECES: Final = 6  # with the strongest contributions, which are shown as numbers
_SOURCES: Final = {"movie_name": "title", "rest": "everything else"}


@dataclass(frozen=True)
class Cards:
    """Movies under a heading, each as `movie_card` returns it."""

    name: str
    title: str
    sentence: str
    cards: Sequence[Mapping[str, Any]]


def movie_card(sources: Sources, row: int, models: tuple[Model, ...]) -> dict[str, Any]:
    """Return a test movie, by its row, as the template shows it.

    Each of `lines` has the genres that a model predicts or misses, with their scores; each of `reasons` says why a
    model gave one genre its score: the first wrong, missed or right one, or the one on which two models differ most.
    """
    movie, lines = sources.movies.row(row, named=True), []
    for model in models:
        scores, truth, decided = model.scores.scores[row], model.truth[row], model.decided[row]
        order = np.argsort(-scores, kind="stable")
        groups = {"wrong": decided & ~truth, "missed": truth & ~decided, "right": truth & decided}
        names = {
            outcome: [(model.scores.genres[genre], f"{scores[genre]:.2f}") for genre in order if group[genre]]
            for outcome, group in groups.items()
        }
        lines.append({"model": model.name, **names})
    if len(models) > 1:
        one, other = (dict(zip(model.scores.genres, model.scores.scores[row], strict=True)) for model in models)
        genres = sorted(set(one) & set(other), key=lambda genre: (-abs(one[genre] - other[genre]), genre))
    else:
        genres = [genre for outcome in groups for genre, _ in names[outcome]]
    known = [genre for genre in genres if any((movie["movie_id"], genre) in model.explanations for model in models)]
    reasons = [
        _reason(pieces, movie["description"], f"Why {genre}? ({model.name})")
        for genre in known[:1]
        for model in models
        if (pieces := model.explanations.get((movie["movie_id"], genre))) is not None
    ]
    return {
        "title": f"{movie['movie_name']} ({movie['year']})" if movie["year"] else movie["movie_name"],
        "text": "" if any(reason["highlighted"] for reason in reasons) else movie["description"],
        "lines": lines,
        "reasons": reasons,
        "note": "The text was cut off at its source." if movie["is_truncated"] else "",
    }


def _reason(pieces: pl.DataFrame, description: str, title: str) -> dict[str, Any]:
    """Return the text with highlighted words, and the strongest contributions as names and signed numbers."""
    in_text = pieces.filter((pl.col("source") == "description") & pl.col("start").is_not_null())
    spans = list(in_text.select("start", "end", "contribution").sort("start", "end").iter_rows())
    strongest = max((abs(contribution) for *_, contribution in spans), default=0.0)
    highlighted = Markup(highlight_html(description, spans, strongest)) if spans else None  # noqa: S704  it escapes
    by_strength = pl.col("contribution").abs()
    ordered = pieces.filter(by_strength != 0).sort(by_strength, descending=True, maintain_order=True).head(PIECES)
    named = []
    for source, piece, contribution in ordered.select("source", "piece", "contribution").iter_rows():
        name = _SOURCES.get(source, source)
        if piece and source != "rest":
            name = piece if source == "description" else f"{name}: {piece}"
        named.append((name, signed(contribution)))
    return {"title": title, "pieces": named, "highlighted": highlighted}


TITLES: Final = {
    "good": "Good predictions",
    "bad": "Bad predictions",
    "disagreement": "Where two kinds of model disagree",
    "impossible": "Wrong for every model",
    "doubtful": "Doubtful labels",
}


def movies_section(sources: Sources, exhibits: pl.DataFrame) -> Section:
    """Show the chosen movies by role, each once, with predictions and the words that led to them."""
    models = (sources.best, sources.rival) if sources.rival else (sources.best,)
    explained = [model.name for model in models if model.explanations]
    legend = highlight_html("raises it lowers it", [(0, 9, 1.0), (10, 19, -1.0)], 1.0) if explained else ""
    blocks: list[Any] = [Text(say("colours", explained_by=explained), Markup(legend))]  # noqa: S704  constant
    rows = {movie: row for row, movie in enumerate(sources.best.predictions["movie_id"])}
    seen: set[str] = set()
    for role, title in TITLES.items():
        ids = exhibits.filter(pl.col("role") == role).sort("rank")["movie_id"].to_list()
        if unknown := [movie for movie in ids if movie not in rows]:
            raise DataError(f"exhibits: {unknown[0]} is not a test movie of this run; choose the exhibits again")
        if not ids and (role == "doubtful" or (role == "disagreement" and not sources.rival)):
            continue
        shown = models if role in {"disagreement", "impossible"} else models[:1]
        cards = [movie_card(sources, rows[movie], shown) for movie in ids if movie not in seen]
        sentence = _say_role(sources, role, len(ids))
        if again := [sources.movies["movie_name"][rows[movie]] for movie in ids if movie in seen]:
            sentence += f" Shown above: {listed(again)}."
        seen.update(ids)
        blocks.append(Cards(role, title, sentence, cards))
    return Section("movies", "Example movies", blocks)


def _say_role(sources: Sources, role: str, shown: int) -> str:
    best, rival, total = sources.best, sources.rival, sources.best.predictions.height
    facts: dict[str, Any] = {"best": best.name, "total": total, "shown": shown}
    if role in {"good", "bad"}:
        return say(role, **facts, found=int((best.jaccard == (role == "good")).sum()))
    if role == "disagreement" and rival:
        difference = best.jaccard - rival.jaccard
        facts = {"best": best.name, "rival": rival.name, "kind": rival.kind, "total": total}
        facts |= {"ahead": int((difference > 0).sum()), "behind": int((difference < 0).sum())}
        same = best.predictions["predicted_genres"] == rival.predictions["predicted_genres"]
        return say(role, **facts, same=same.sum())
    if role == "impossible":
        missed = int(np.all([model.jaccard == 0 for model in sources.models], axis=0).sum())
        facts = {"models": len(sources.models), "hopeless": len(impossible_movies(sources.models))}
        return say(role, **facts, missed=missed, suggested=SUGGESTED, total=total, shown=shown)
    return say("doubtful", shown=shown)


BINS: Final = 8


def predictions_section(sources: Sources) -> Section:
    """Show Jaccard by length of the description, the number of predicted genres, and the calibration of the scores."""
    best = sources.best
    words = sources.movies["description"].str.count_matches(r"\S+").to_numpy()
    models = [model for model in (best, sources.rival) if model is not None]
    bins = {model.name: bin_by_length(words, model.jaccard) for model in models}
    true, predicted = (np.bincount(matrix.sum(axis=1)) for matrix in (best.truth, best.decided))
    said = say("lengths", model=best.name, bins=bins[best.name].to_dicts())
    draw_sizes = partial(draw_set_sizes, true, predicted)
    blocks = [
        Picture("lengths", "Jaccard by length of the description", said, partial(draw_lengths, bins), is_folded=True),
        Picture("set_sizes", "Genres per movie", say_sizes(true, predicted), draw_sizes, is_folded=True),
    ]
    tables = [optional_table(best.folder / name) for name in ("calibration.csv", "reliability.csv")]
    if tables[0] is not None and tables[1] is not None:
        draw, said = partial(draw_calibration, tables[0], tables[1]), say_calibration(tables[0])
        blocks.append(Picture("calibration", "Calibration of scores", said, draw, is_wide=True, is_folded=True))
    return Section("predictions", f"Predictions of {best.name}", blocks)


def bin_by_length(words: NDArray[np.integer[Any]], jaccard: NDArray[np.float64]) -> pl.DataFrame:
    """Return `label`, `movies`, `mean`, `low`, `high` of the Jaccard in bins of about as many movies each.

    Movies of the same length are in the same bin; those without a Jaccard are left out. The interval is the mean plus
    and minus 1.96 standard errors; a bin of one movie has none.
    """
    words, jaccard = words[np.isfinite(jaccard)], jaccard[np.isfinite(jaccard)]
    starts = np.unique(np.quantile(words, np.arange(BINS) / BINS, method="higher")) if len(words) else np.array([0])
    places = np.searchsorted(starts, words, side="right") - 1
    rows = []
    for place, start in enumerate(starts):
        inside = places == place
        values, last = jaccard[inside], int(words[inside].max(initial=start))
        error = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        mean = float(values.mean()) if len(values) else 0.0
        label = f"{start:.0f}" if last == start else f"{start:.0f}\N{EN DASH}{last}"
        rows.append((label, len(values), mean, mean - error, mean + error))
    schema = {"label": pl.String, "movies": pl.Int64, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def say_sizes(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> str:
    """Say how many genres movies have and get on average, and which number is predicted too often or too rarely."""
    have, get = (float(np.average(np.arange(len(counts)), weights=counts)) for counts in (true, predicted))
    size = max(len(true), len(predicted))
    excess = np.pad(predicted, (0, size - len(predicted))) - np.pad(true, (0, size - len(true)))
    most = int(np.abs(excess).argmax())
    only = int(predicted.argmax()) if np.count_nonzero(predicted) == 1 else None
    ends = (int(np.flatnonzero(true)[0]), len(true) - 1)
    return say("set_sizes", have=have, get=get, only=only, ends=ends, excess=int(excess[most]), size=most)


def say_calibration(calibration: pl.DataFrame) -> str:
    """Say how far scores are from probabilities before and after calibration, and for which genre most."""
    known = calibration.drop_nulls(["ece_raw", "ece_calibrated"]).filter(pl.col("positives") > 0)
    worst = known.sort("ece_calibrated", "genre", descending=[True, False]).head(1).to_dicts()
    raw, calibrated = (known[name].mean() for name in ("ece_raw", "ece_calibrated"))
    return say("calibration", raw=raw, calibrated=calibrated, worst=worst[0] if worst else None)
