"""Pictures of a model's features: those that raise or lower a genre's score, and the similarity of genres by them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray
from wordcloud import STOPWORDS

from tasks.core.errors import DataError
from tasks.core.figures import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    SVG_ONLY,
    Form,
    draw_clouds,
    draw_heat_map,
    drawable,
    new_figure,
    picture_files,
    write_pictures,
)
from tasks.core.page import signed
from tasks.core.schema import DEFAULT_SEED, IMPORTANCE
from tasks.core.settings import DataPaths
from tasks.report.sources import SENTENCES, say
from tasks.stage import Stage, StageResult, run_stage

IMPORTANCE_FILE: Final = "importance.parquet"
WORD_BARS, WORD_CLOUDS, FIELD_BARS = "importance_words", "importance_clouds", "importance_fields"
UNREADABLE: Final = ("characters", "rest")  # kinds of features that say nothing to people
FIELD: Final = "field"
BARS_SHOWN: Final = 6  # each, raising and lowering
CLOUD_WORDS: Final = 24
LONGEST_FEATURE: Final = 24
COLUMNS: Final = 3

_CELL_IN, _ROW_IN = 3.3, 0.185
_ROWS: Final = 2 * BARS_SHOWN + 2.2  # of a genre, with its title


def write_importance_pictures(model_folder: Path, forms: Sequence[Form] = SVG_ONLY) -> StageResult | None:
    """Draw the features that raise or lower each genre's score: words as bars and as clouds, fields as bars.

    The counts name the pictures, each with a sentence about the strongest. A model without fields has no picture of
    them. None for a model without `importance.parquet`.
    """
    path = model_folder / IMPORTANCE_FILE
    if not path.is_file():
        return None
    importance = read_importance(path)
    words, fields = importance.filter(pl.col("kind") != FIELD), importance.filter(pl.col("kind") == FIELD)
    tables = {WORD_BARS: words, **({FIELD_BARS: fields} if fields.height else {})}
    outputs, code = picture_files([*tables, WORD_CLOUDS], forms), (Path(__file__), SENTENCES)
    packages = ("jinja2", "matplotlib", "polars", "wordcloud")
    stage = Stage("draw-importances", model_folder, outputs, (path,), {}, code, packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        strongest = {name: choose_strongest(table, BARS_SHOWN) for name, table in tables.items()}
        cloud_words = choose_cloud_words(words)
        draws: dict[str, Callable[[], Figure]] = {WORD_CLOUDS: partial(draw_word_clouds, cloud_words)}
        draws |= {name: partial(draw_importances, table) for name, table in strongest.items()}
        write_pictures(folder, draws, forms)
        findings = {name: say_importances(table) for name, table in strongest.items()}
        return {"findings": findings | {WORD_CLOUDS: say_clouds(cloud_words)}}

    return run_stage(stage, build)


def read_importance(path: Path) -> pl.DataFrame:
    """Read the importances of a model; it is a DataError if they are missing, damaged or empty."""
    try:
        table = pl.read_parquet(path, columns=list(IMPORTANCE)).cast(IMPORTANCE)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); explain the model again") from error
    if table.is_empty():
        raise DataError(f"{path} has no rows; explain the model again")
    return table.filter(pl.col("weight").is_finite())


def choose_strongest(importance: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return for each genre the strongest features that raise and that lower its score, at most `most` each, by weight.

    Strength is weight times log(1 + movies), so that neither features of a single movie nor those of all come first.
    """
    strength = pl.col("weight").abs() * pl.col("movies").log1p()
    return (
        importance.filter(pl.col("kind").is_in(UNREADABLE).not_(), pl.col("weight") != 0)
        .with_columns(strength.alias("strength"), raises=pl.col("weight") > 0)
        .sort("genre", "strength", "feature", "kind", descending=[False, True, False, False])
        .group_by("genre", "raises", maintain_order=True)
        .head(most)
        .sort("genre", "weight", "feature", "kind", descending=[False, True, False, False])
        .select(*IMPORTANCE, "strength")
    )


def say_importances(strongest: pl.DataFrame) -> str:
    """Describe the bars in one sentence."""
    ordered = _by_strength(strongest).with_columns(signed=pl.col("weight").map_elements(signed, pl.String))
    first = [ordered.filter(is_such).head(1).to_dicts() for is_such in (pl.col("weight") > 0, pl.col("weight") < 0)]
    return say("importances", raising=first[0], lowering=first[1])


def draw_importances(strongest: pl.DataFrame) -> Figure:
    """Draw a small chart for each genre: bars to the right raise its score, bars to the left lower it."""
    genres = strongest["genre"].unique(maintain_order=True).to_list()
    n_rows = max(ceil(len(genres) / COLUMNS), 1)
    figure = Figure(figsize=(COLUMNS * _CELL_IN, n_rows * _ROWS * _ROW_IN))
    # One for all: separate axes for each genre take ten times as long.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 2 * COLUMNS), ylim=(n_rows * _ROWS, 0))
    axes.set_axis_off()
    look: dict[str, Any] = {"fontsize": 8, "va": "center_baseline"}
    for place, genre in enumerate(genres):
        features = strongest.filter(pl.col("genre") == genre)
        left, top = place % COLUMNS * 2.0, place // COLUMNS * _ROWS
        middle, rows = left + 1.0, top + 1.7 + np.arange(features.height)
        weights = features["weight"].to_numpy()
        lengths = 0.66 * weights / np.abs(weights).max()
        axes.text(left + 0.1, top + 0.8, drawable(genre), fontsize=10, fontweight="bold", va="center")
        axes.barh(rows, lengths, left=middle, height=0.74, color=[BLUE if weight > 0 else ORANGE for weight in weights])
        axes.plot([middle, middle], [rows[0] - 0.5, rows[-1] + 0.5], color=INK, linewidth=0.7)
        for row, weight, length, feature in zip(rows, weights, lengths, features["feature"], strict=True):
            sign = 1 if weight > 0 else -1
            sides: tuple[Any, Any] = ("right", "left") if weight > 0 else ("left", "right")
            axes.text(middle - sign * 0.03, row, drawable(feature, LONGEST_FEATURE), ha=sides[0], **look)
            axes.text(middle + length + sign * 0.03, row, signed(weight), ha=sides[1], **look, color=MUTED)
    if not genres:
        axes.text(COLUMNS, _ROWS / 2, "nothing to show", ha="center")
    return figure


def choose_cloud_words(words: pl.DataFrame) -> pl.DataFrame:
    """Return the strongest words that raise each genre's score, as `choose_strongest` does, without function words."""
    raising = words.filter(pl.col("weight") > 0, pl.col("feature").str.to_lowercase().is_in(STOPWORDS).not_())
    return choose_strongest(raising, CLOUD_WORDS)


def draw_word_clouds(cloud_words: pl.DataFrame) -> Figure:
    """Draw a cloud of each genre's words, larger ones for stronger words."""
    clouds: dict[str, dict[str, float]] = {}
    for genre, feature, strength in cloud_words.select("genre", "feature", "strength").iter_rows():
        clouds.setdefault(genre, {})[drawable(feature, LONGEST_FEATURE)] = strength
    return draw_clouds(clouds, DEFAULT_SEED)


def say_clouds(cloud_words: pl.DataFrame) -> str:
    """Describe the clouds in one sentence."""
    return say("clouds", words=_by_strength(cloud_words).head(3).select("feature", "genre").rows())


def _by_strength(features: pl.DataFrame) -> pl.DataFrame:
    return features.sort("strength", "genre", "feature", descending=[True, False, False])


SIMILARITY_CSV: Final = "genre_similarity.csv"
TOP: Final = 100  # features of a genre to measure the overlap of
MEASURES: Final = {  # column of the table: its values in the heat map
    "importance_overlap": f"shared features, % of the {TOP} that most raise the score of either genre",
    "importance_cosine": "cosine of the features' weights, times 100\nblank: 0 or below",
    "tfidf_cosine": "cosine of the mean TF-IDF vectors of the descriptions, times 100",
    "tfidf_excess_cosine": "cosine of the mean TF-IDF vectors minus that of all movies, times 100\nblank: 0 or below",
}
PROFILE_MEASURES: Final = ("tfidf_cosine", "tfidf_excess_cosine")
SIMILARITY: Final = pl.Schema({"genre": pl.String, "other": pl.String, **dict.fromkeys(MEASURES, pl.Float64)})


def write_genre_similarity(model_folder: Path, paths: DataPaths, forms: Sequence[Form] = SVG_ONLY) -> StageResult:
    """Write the similarity of every two genres, `genre_similarity.csv` (`SIMILARITY`), and a heat map of each measure.

    - `importance_overlap`: the share that two genres have in common of the features with the greatest weights above 0.
    - `importance_cosine`: the cosine of the weights, 0 for features that a genre does not have.
    - `tfidf_cosine`, `tfidf_excess_cosine`: from `data/features/genre_profiles.csv`.

    A measure is null if one of the genres has nothing to compare. Every pair is listed in both orders, sorted by genre
    and falling `importance_cosine`. The counts hold a sentence for each measure.
    """
    inputs = (model_folder / IMPORTANCE_FILE, paths.genre_profiles)
    outputs = (SIMILARITY_CSV, *picture_files([picture_name(measure) for measure in MEASURES], forms))
    config, code = {"model": model_folder.name}, (Path(__file__), SENTENCES)
    packages = ("jinja2", "matplotlib", "numpy", "polars")
    stage = Stage("genre_similarity", paths.results, outputs, inputs, config, code, packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        columns, floats = ["genre", "other", *PROFILE_MEASURES], dict.fromkeys(PROFILE_MEASURES, pl.Float64)
        try:
            profiles = pl.read_csv(inputs[1], columns=columns, schema_overrides=floats)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{inputs[1]} is damaged ({error}); delete it and compare again") from error
        table = compare_genres(read_importance(inputs[0]), profiles)
        table.write_csv(folder / SIMILARITY_CSV, float_precision=6)
        draws = {picture_name(measure): partial(draw_similarity, table, measure) for measure in MEASURES}
        write_pictures(folder, draws, forms)
        return {"genres": table["genre"].n_unique(), **{measure: say_nearest(table, measure) for measure in MEASURES}}

    return run_stage(stage, build)


def picture_name(measure: str) -> str:
    """Return the name of the heat map of a measure, without ending."""
    return f"genre_similarity_{measure}"


def compare_genres(importance: pl.DataFrame, profiles: pl.DataFrame) -> pl.DataFrame:
    """Return `SIMILARITY` of the genres in either table: feature importances, and profiles with `PROFILE_MEASURES`."""
    genres = sorted({*importance["genre"].to_list(), *profiles["genre"].to_list()})
    columns, place = np.unique((importance["kind"] + "\n" + importance["feature"]).to_numpy(), return_inverse=True)
    rows = np.searchsorted(genres, importance["genre"].to_numpy())
    weights = np.zeros((len(genres), len(columns)))
    weights[rows, place] = importance["weight"].to_numpy()
    overlap, cosine, both = overlaps(weights, TOP), cosines(weights), permutations(range(len(genres)), 2)
    pairs = [(genres[one], genres[other], overlap[one, other], cosine[one, other]) for one, other in both]
    found = {name: kind for name, kind in SIMILARITY.items() if name not in PROFILE_MEASURES}
    return (
        pl.DataFrame(pairs, schema=found, orient="row")
        .with_columns(pl.col(pl.Float64).fill_nan(None))
        .join(profiles.select("genre", "other", *PROFILE_MEASURES), on=["genre", "other"], how="left")
        .select(list(SIMILARITY))
        .sort("genre", "importance_cosine", "other", descending=[False, True, False], nulls_last=True)
    )


def overlaps(weights: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return the Jaccard of every two rows' sets of columns with the greatest positive weights, at most `top` each.

    On ties the first columns count. NaN if a row has no positive weight.
    """
    chosen = np.zeros(weights.shape, dtype=np.float64)
    best = np.argsort(-weights, axis=1, kind="stable")[:, :top]
    np.put_along_axis(chosen, best, 1.0, axis=1)
    chosen *= weights > 0
    both, sizes = chosen @ chosen.T, chosen.sum(axis=1)
    union = sizes[:, None] + sizes - both
    some = np.minimum.outer(sizes, sizes) > 0
    return np.where(some, both / np.maximum(union, 1), np.nan)


def cosines(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of every two rows; NaN if a row is zero."""
    lengths = np.linalg.norm(weights, axis=1)
    unit = weights / np.where(lengths > 0, lengths, np.nan)[:, None]
    return np.asarray(unit @ unit.T)


def say_nearest(table: pl.DataFrame, measure: str) -> str:
    """Say in one sentence which genres are most and least similar."""
    known = table.drop_nulls(measure).filter(pl.col("genre") < pl.col("other")).sort(measure, "genre", "other")
    return say("nearest", pairs=known.select("genre", "other", measure).rows())


def draw_similarity(table: pl.DataFrame, measure: str) -> Figure:
    """Draw one measure of every two genres in hundredths; grey: nothing to compare, and each genre with itself."""
    genres = table["genre"].unique().sort().to_list()
    wide = table.pivot(on="other", index="genre", values=measure).sort("genre")
    values = 100 * wide.select(genres).cast(pl.Float64).to_numpy()
    side = 1.9 + 0.3 * len(genres)
    figure = new_figure(side, side)
    axes = figure.add_subplot(xlabel=MEASURES[measure])
    draw_heat_map(axes, np.maximum(values, 0), genres, genres)
    return figure
