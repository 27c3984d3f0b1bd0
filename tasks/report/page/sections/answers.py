"""How long descriptions have to be, how many genres are said, and what scores mean. Owns the section's wording."""

from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.report.calibration import draw_calibration
from tasks.report.page.blocks import Picture, Section
from tasks.report.page.pictures import draw_lengths, draw_scores, draw_set_sizes
from tasks.report.page.sources import Model, Sources
from tasks.report.page.wording import at_least, at_most, counted, figure, percent

BINS: Final = 8
SCORE_BINS: Final = 40


def lengths_section(sources: Sources) -> Section:
    """Show the Jaccard against the length of the description, for the best model and its rival."""
    words = sources.movies["description"].str.count_matches(r"\S+").to_numpy()
    models = [model for model in (sources.best, sources.rival) if model is not None]
    bins = {model.name: bin_by_length(words, model.jaccard) for model in models}
    sentence = say_lengths(sources.best.name, bins[sources.best.name])
    picture = Picture("lengths", "Jaccard against length of the description", sentence, partial(draw_lengths, bins))
    return Section("lengths", "Short and long descriptions", [picture])


def answers_section(sources: Sources) -> Section:
    """Show how many genres the best model gives, and how its scores are spread."""
    best = sources.best
    true, predicted = (np.bincount(matrix.sum(axis=1)) for matrix in (best.truth, best.decided))
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    positive, negative = (np.histogram(best.scores.scores[part], edges)[0] for part in (best.truth, ~best.truth))
    sizes = Picture(
        "set_sizes", "Genres of a movie", say_sizes(true, predicted), partial(draw_set_sizes, true, predicted)
    )
    scores = Picture("scores", "Scores", say_scores(best), partial(draw_scores, positive, negative, edges))
    blocks: list[Any] = [sizes, scores]
    tables = [best.optional_table(name) for name in ("calibration.csv", "reliability.csv")]
    if tables[0] is not None and tables[1] is not None:
        draw = partial(draw_calibration, tables[0], tables[1])
        blocks.append(Picture("calibration", "Scores as probabilities", say_calibration(tables[0]), draw, is_wide=True))
    return Section("answers", f"What {best.name} answers", blocks)


def bin_by_length(words: NDArray[np.integer[Any]], jaccard: NDArray[np.float64]) -> pl.DataFrame:
    """Return `label`, `movies`, `mean`, `low`, `high` of the Jaccard in bins of about as many movies each.

    Movies of the same length are in the same bin; those without a Jaccard are left out. The interval is the mean's,
    1.96 standard errors both ways, and none for a bin of one movie.
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
    """Say whether long descriptions are told better than short ones, beyond what chance could do."""
    if bins.height < 2:
        return f"All descriptions are about as long, so that {model}'s Jaccard cannot be told by length."
    first, last = bins.row(0, named=True), bins.row(-1, named=True)
    ends = (
        f"{figure(first['mean'])} for descriptions of {first['label']} words and {figure(last['mean'])} for those of "
        f"{last['label']}"
    )
    low, high = (bins.sort("mean", maintain_order=True).row(row, named=True) for row in (0, -1))
    between = (
        f" The extremes lie between: {figure(low['mean'])} for {low['label']} words, {figure(high['mean'])} for "
        f"{high['label']}."
        if low["high"] < high["low"] and {low["label"], high["label"]} != {first["label"], last["label"]}
        else ""
    )
    if first["high"] < last["low"] or last["high"] < first["low"]:
        better = "better" if last["mean"] > first["mean"] else "worse"
        return f"Long descriptions are told {better} than short ones: {model}'s mean Jaccard is {ends}.{between}"
    return f"Long descriptions are not told better than short ones: {model}'s mean Jaccard is {ends}.{between}"


def say_sizes(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> str:
    """Say how many genres movies have and were given on average, and which number is given too often."""
    have, given = (float(np.average(np.arange(len(counts)), weights=counts)) for counts in (true, predicted))
    if np.count_nonzero(predicted) == 1:
        return (
            f"Every movie was given {counted(int(predicted.argmax()), 'genre')}; they have {figure(have, 2)} on "
            "average, from "
            f"{int(np.flatnonzero(true)[0])} to {len(true) - 1}."
        )
    size = max(len(true), len(predicted))
    excess = np.pad(predicted, (0, size - len(predicted))) - np.pad(true, (0, size - len(true)))
    most = int(np.abs(excess).argmax())
    if not excess.any():
        return f"As many movies were given each number of genres as have it; the mean is {figure(have, 2)}."
    how, difference = "more" if excess[most] > 0 else "fewer", abs(int(excess[most]))
    return (
        f"Movies have {figure(have, 2)} genres and were given {figure(given, 2)} on average; the greatest difference: "
        f"{difference:,} {how} {'movie was' if difference == 1 else 'movies were'} given {counted(most, 'genre')} than "
        f"{'has' if difference == 1 else 'have'} as many."
    )


def say_scores(model: Model) -> str:
    """Say how well scores part genres that movies have from others."""
    positive, negative = model.scores.scores[model.truth], model.scores.scores[~model.truth]
    if not positive.size or not negative.size:
        return "Movies have all genres or none, so that scores cannot part them."
    if model.scores.scores.min() == model.scores.scores.max():
        return f"Every score is {figure(float(positive[0]), 2)}: the scores tell nothing."
    return (
        f"Half of the genres that a movie has score at least {at_least(float(np.median(positive)), 2)}, half of the "
        f"others at most {at_most(float(np.median(negative)), 3)}; {percent(float(np.mean(positive < 0.05)))} of what "
        f"a movie has scores under 0.05, and {percent(float(np.mean(negative > 0.5)))} of what it has not over 0.5."
    )


def say_calibration(calibration: pl.DataFrame) -> str:
    """Say how far scores are from probabilities before and after calibration, and where most."""
    known = calibration.drop_nulls(["ece_raw", "ece_calibrated"]).filter(pl.col("positives") > 0)
    if known.is_empty():
        return "No genre has enough test movies to tell how far scores are from probabilities."
    raw, calibrated = (float(known[name].mean() or 0) for name in ("ece_raw", "ece_calibrated"))  # type: ignore[arg-type]
    worst = known.sort("ece_calibrated", "genre", descending=[True, False]).row(0, named=True)
    verb = "brings" if calibrated < raw else "does not lower"
    change = (
        f"calibration {verb} the mean error over genres from {figure(raw)} to {figure(calibrated)}"
        if calibrated < raw
        else f"calibration {verb} the mean error over genres, {figure(raw)} before and {figure(calibrated)} after"
    )
    return (
        f"Where the curve is on the dashed line, a score of 0.3 is right in 30 % of the cases; {change}, and the "
        f"farthest off is then {worst['genre']}, by {figure(worst['ece_calibrated'])}. The leaderboard's error takes "
        "the scores of all genres together, where those of single genres can cancel out."
    )
