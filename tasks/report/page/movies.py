"""The report's sections about single movies and about the best model's predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.page import Picture, Section, Text, highlight_html, signed
from tasks.report.exhibits import SUGGESTED, impossible_movies
from tasks.report.figures import draw_calibration
from tasks.report.page.figures import draw_lengths, draw_set_sizes
from tasks.report.page.sources import Model, Sources, counted, listed, number, percent

PIECES: Final = 6  # with the strongest contributions, which are shown as numbers
_SOURCES: Final = {"movie_name": "title", "rest": "everything else"}


@dataclass(frozen=True)
class Line:
    """The genres that one model predicts or misses for a movie, each with its score."""

    model: str
    right: Sequence[tuple[str, str]]
    wrong: Sequence[tuple[str, str]]
    missed: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reason:
    """Why a model gave a genre its score: the text with highlighted words, and the strongest contributions."""

    title: str
    pieces: Sequence[tuple[str, str]]  # text, signed number
    highlighted: Markup | None = None


@dataclass(frozen=True)
class Card:
    """A movie with its predictions."""

    title: str
    text: str
    lines: Sequence[Line]
    reasons: Sequence[Reason]
    note: str = ""


@dataclass(frozen=True)
class Cards:
    """Movies under a heading."""

    name: str
    title: str
    sentence: str
    cards: Sequence[Card]


def movie_card(sources: Sources, row: int, models: tuple[Model, ...]) -> Card:
    """Show a test movie, by its row, with the predictions of models and the reasons for one genre."""
    movie = sources.movies.row(row, named=True)
    title = f"{movie['movie_name']} ({movie['year']})" if movie["year"] else movie["movie_name"]
    lines = [_line(model, row) for model in models]
    reasons = _reasons(models, movie, row, lines[0])
    text = "" if any(reason.highlighted for reason in reasons) else movie["description"]
    return Card(title, text, lines, reasons, "The text was cut off at its source." if movie["is_truncated"] else "")


def _line(model: Model, row: int) -> Line:
    scores, truth, decided = model.scores.scores[row], model.truth[row], model.decided[row]
    order = np.argsort(-scores, kind="stable")
    right, wrong, missed = (
        [(model.scores.genres[genre], f"{scores[genre]:.2f}") for genre in order if group[genre]]
        for group in (truth & decided, decided & ~truth, truth & ~decided)
    )
    return Line(model.name, right, wrong, missed)


def _reasons(models: tuple[Model, ...], movie: Mapping[str, Any], row: int, line: Line) -> list[Reason]:
    """Explain one genre: the first wrong, missed or right one, or the one on which two models differ most."""
    if len(models) > 1:
        one, other = (dict(zip(model.scores.genres, model.scores.scores[row], strict=True)) for model in models)
        genres = sorted(set(one) & set(other), key=lambda genre: (-abs(one[genre] - other[genre]), genre))
    else:
        genres = [genre for group in (line.wrong, line.missed, line.right) for genre, _ in group]
    known = [genre for genre in genres if any((movie["movie_id"], genre) in model.explanations for model in models)]
    return [
        _reason(pieces, movie["description"], f"Why {genre}? ({model.name})")
        for genre in known[:1]
        for model in models
        if (pieces := model.explanations.get((movie["movie_id"], genre))) is not None
    ]


def _reason(pieces: pl.DataFrame, description: str, title: str) -> Reason:
    in_text = pieces.filter((pl.col("source") == "description") & pl.col("start").is_not_null())
    spans = list(in_text.select("start", "end", "contribution").sort("start", "end").iter_rows())
    strongest = max((abs(contribution) for *_, contribution in spans), default=0.0)
    ordered = pieces.filter(pl.col("contribution") != 0).sort(
        pl.col("contribution").abs(), descending=True, maintain_order=True
    )
    highlighted = Markup(highlight_html(description, spans, strongest)) if spans else None  # noqa: S704  it escapes
    rows = ordered.select("source", "piece", "contribution").head(PIECES).iter_rows()
    return Reason(title, [(_name_piece(source, piece), signed(value)) for source, piece, value in rows], highlighted)


def _name_piece(source: str, piece: str | None) -> str:
    name = _SOURCES.get(source, source)
    if source == "description":
        return piece or name
    return f"{name}: {piece}" if piece and source != "rest" else name


TITLES: Final = {
    "good": "Good predictions",
    "bad": "Bad predictions",
    "disagreement": "Where two kinds of model disagree",
    "impossible": "Wrong for every model",
    "doubtful": "Doubtful labels",
}
SIGNS: Final = "✓ right, ✗ wrong, ○ missed; the number after a genre is its score."


def movies_section(sources: Sources, exhibits: pl.DataFrame) -> Section:
    """Show the chosen movies by role, each once, with predictions and the words that led to them."""
    models = (sources.best, sources.rival) if sources.rival else (sources.best,)
    blocks: list[Any] = [Text(say_colours(models), _legend(models))]
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


def say_colours(models: tuple[Model, ...]) -> str:
    """Explain the signs and colours of the cards."""
    names = [model.name for model in models if model.explanations]
    if not names:
        return f"{SIGNS} No explanations were computed in this run, so no words are highlighted."
    return (
        f"{SIGNS} Highlighted words changed the score that {listed(names)} gave to the genre, darker ones more; "
        "numbers are contributions to its log-odds."
    )


def _legend(models: tuple[Model, ...]) -> Markup | None:
    if not any(model.explanations for model in models):
        return None
    return Markup(highlight_html("raises it lowers it", [(0, 9, 1.0), (10, 19, -1.0)], 1.0))  # noqa: S704  constant


def _say_role(sources: Sources, role: str, shown: int) -> str:
    best, total = sources.best, sources.best.predictions.height
    if role == "good":
        right = int((best.jaccard == 1).sum())
        return f"{best.name} predicts exactly the right genres for {_of(right, total)}.{_shown(right, shown)}"
    if role == "bad":
        wrong = int((best.jaccard == 0).sum())
        which = "the wrong genres with the highest scores"
        return f"{best.name} gets no genre right for {_of(wrong, total)}.{_shown(wrong, shown, which)}"
    if role == "disagreement" and sources.rival:
        return say_disagreement(best, sources.rival)
    if role == "impossible":
        hopeless = len(impossible_movies(sources.models))
        missed = int(np.all([model.jaccard == 0 for model in sources.models], axis=0).sum())
        models = {1: "The only model gets", 2: "Both models get"}.get(
            len(sources.models), f"All {len(sources.models)} models get"
        )
        return (
            f"{models} no genre right for {_of(missed, total)}. For {hopeless:,} of these, no model has a true genre "
            f"among its {SUGGESTED} highest scores.{_shown(hopeless, shown, 'the worst')}"
        )
    return f"The test movies with the most doubtful labels; {counted(shown, 'movie')} shown."


def say_disagreement(best: Model, rival: Model) -> str:
    """Say how often two models predict differently, and which is then closer to the truth."""
    difference = best.jaccard - rival.jaccard
    ahead, behind = int((difference > 0).sum()), int((difference < 0).sum())
    total = len(difference)
    same = int((best.predictions["predicted_genres"] == rival.predictions["predicted_genres"]).sum())
    both = f"{best.name} and {rival.name}, the best model of another kind ({rival.kind}),"
    if same == total:
        return f"{both} predict the same for every movie."
    return (
        f"{both} predict the same for {percent(same / total)} of the movies. {best.name} has the higher Jaccard for "
        f"{ahead:,} movies, {rival.name} for {behind:,}."
    )


def _of(count: int, total: int) -> str:
    return f"{count:,} of {counted(total, 'test movie')} ({percent(count / max(total, 1))})"


def _shown(found: int, shown: int, which: str = "those with the highest scores") -> str:
    return f" Shown: {which}." if found > shown > 0 else ""


BINS: Final = 8


def predictions_section(sources: Sources) -> Section:
    """Show Jaccard by length of the description, the number of predicted genres, and the calibration of the scores."""
    best = sources.best
    words = sources.movies["description"].str.count_matches(r"\S+").to_numpy()
    models = [model for model in (best, sources.rival) if model is not None]
    bins = {model.name: bin_by_length(words, model.jaccard) for model in models}
    true, predicted = (np.bincount(matrix.sum(axis=1)) for matrix in (best.truth, best.decided))
    blocks = [
        Picture(
            "lengths",
            "Jaccard by length of the description",
            say_lengths(best.name, bins[best.name]),
            partial(draw_lengths, bins),
            is_folded=True,
        ),
        Picture(
            "set_sizes",
            "Genres per movie",
            say_sizes(true, predicted),
            partial(draw_set_sizes, true, predicted),
            is_folded=True,
        ),
    ]
    tables = [best.optional_table(name) for name in ("calibration.csv", "reliability.csv")]
    if tables[0] is not None and tables[1] is not None:
        draw, said = partial(draw_calibration, tables[0], tables[1]), say_calibration(tables[0])
        blocks.append(Picture("calibration", "Calibration of scores", said, draw, is_wide=True, is_folded=True))
    return Section("predictions", f"Predictions of {best.name}", blocks)


def bin_by_length(words: NDArray[np.integer[Any]], jaccard: NDArray[np.float64]) -> pl.DataFrame:
    """Return `label`, `movies`, `mean`, `low`, `high` of the Jaccard in bins of about as many movies each.

    Movies of the same length are in the same bin; those without a Jaccard are left out. The interval is the mean plus
    and minus 1.96 standard errors; a bin of one movie has none.
    """
    known = np.isfinite(jaccard)
    words, jaccard = words[known], jaccard[known]
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


def say_lengths(model: str, bins: pl.DataFrame) -> str:
    """Say whether predictions are better for long descriptions than for short ones, beyond chance."""
    if bins.height < 2:
        return f"All descriptions have about the same length, so {model}'s Jaccard cannot be compared by length."
    first, last = bins.row(0, named=True), bins.row(-1, named=True)
    low, high = (bins.sort("mean", maintain_order=True).row(row, named=True) for row in (0, -1))
    differs = first["high"] < last["low"] or last["high"] < first["low"]
    how = ("better" if last["mean"] > first["mean"] else "worse") if differs else "not better"
    said = (
        f"Predictions are {how} for long descriptions than for short ones: {model}'s mean Jaccard is "
        f"{number(first['mean'])} for {first['label']} words and {number(last['mean'])} for {last['label']}."
    )
    if low["high"] < high["low"] and {low["label"], high["label"]} != {first["label"], last["label"]}:
        said += (
            f" The extremes lie between: {number(low['mean'])} for {low['label']} words, {number(high['mean'])} for "
            f"{high['label']}."
        )
    return said


def say_sizes(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> str:
    """Say how many genres movies have and get on average, and which number is predicted too often or too rarely."""
    have, get = (float(np.average(np.arange(len(counts)), weights=counts)) for counts in (true, predicted))
    if np.count_nonzero(predicted) == 1:
        return (
            f"Every movie gets {counted(int(predicted.argmax()), 'genre')}; movies have {number(have, 2)} on average, "
            f"from {int(np.flatnonzero(true)[0])} to {len(true) - 1}."
        )
    size = max(len(true), len(predicted))
    excess = np.pad(predicted, (0, size - len(predicted))) - np.pad(true, (0, size - len(true)))
    most = int(np.abs(excess).argmax())
    means = f"Movies have {number(have, 2)} genres on average and get {number(get, 2)}"
    if not excess.any():
        return f"{means}; each number of genres is predicted as often as it occurs."
    how, difference = "more" if excess[most] > 0 else "fewer", abs(int(excess[most]))
    return (
        f"{means}. The largest difference: {counted(most, 'genre')} predicted for {difference:,} {how} "
        f"{'movie' if difference == 1 else 'movies'} than have {'it' if most == 1 else 'them'}."
    )


def say_calibration(calibration: pl.DataFrame) -> str:
    """Say how far scores are from probabilities before and after calibration, and for which genre most."""
    known = calibration.drop_nulls(["ece_raw", "ece_calibrated"]).filter(pl.col("positives") > 0)
    if known.is_empty():
        return "No genre has enough test movies to compare scores with probabilities."
    raw, calibrated = (float(known[name].mean() or 0) for name in ("ece_raw", "ece_calibrated"))  # type: ignore[arg-type]
    worst = known.sort("ece_calibrated", "genre", descending=[True, False]).row(0, named=True)
    verb = "lowers" if calibrated < raw else "does not lower"
    return (
        f"On the dashed line, a score of 0.3 is right in 30% of the cases. Calibration {verb} the mean error over "
        f"genres ({number(raw)} before, {number(calibrated)} after); the largest error afterwards is "
        f"{worst['genre']}'s, {number(worst['ece_calibrated'])}. The error in the leaderboard takes the scores of all "
        "genres together, where errors of single genres can cancel out."
    )
