"""How alike genres are to a model and in their descriptions. Owns the measures on importances, the table, its pictures.

The earlier system published such tables for Drama against each other genre; here they are for every genre.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from wordcloud import STOPWORDS

from tasks.core.errors import DataError
from tasks.core.figures import (
    BLUE,
    INK,
    SVG_ONLY,
    VERMILION,
    Form,
    PlacedWord,
    draw_clouds,
    draw_heat_map,
    drawable,
    new_figure,
    picture_files,
    place_words,
    write_pictures,
)
from tasks.core.schema import DEFAULT_SEED, IMPORTANCE
from tasks.core.settings import DataPaths
from tasks.stage import Stage, StageResult, run_stage

IMPORTANCE_FILE: Final = "importance.parquet"
WORD_BARS, WORD_CLOUDS, FIELD_BARS = "importance_words", "importance_clouds", "importance_fields"
UNREADABLE: Final = ("characters", "rest")  # kinds of features that say nothing to people
FIELD: Final = "field"
BARS_SHOWN: Final = 6  # each, for and against
CLOUD_WORDS: Final = 24
LONGEST_FEATURE: Final = 24
COLUMNS: Final = 3

_CELL_IN, _ROW_IN = 3.3, 0.185
_ROWS: Final = 2 * BARS_SHOWN + 2.2  # of a genre, with its title


def write_importance_pictures(model_folder: Path, forms: Sequence[Form] = SVG_ONLY) -> StageResult | None:
    """Draw what speaks for and against each genre: words as bars and as clouds, fields as bars of their own.

    The counts name the pictures, each with its finding: a sentence about the strongest. A model without fields has no
    picture of them. None for a model that left no `importance.parquet`.

    Raises:
        DataError: the file is damaged.
    """
    path = model_folder / IMPORTANCE_FILE
    if not path.is_file():
        return None
    importance = read_importance(path)
    words, fields = importance.filter(pl.col("kind") != FIELD), importance.filter(pl.col("kind") == FIELD)
    tables = {WORD_BARS: words, **({FIELD_BARS: fields} if fields.height else {})}
    stage = Stage(
        "draw-importances",
        model_folder,
        picture_files([*tables, WORD_CLOUDS], forms),
        (path,),
        {},
        (Path(__file__),),
        ("matplotlib", "polars", "wordcloud"),
        removes_old=True,
    )

    def build(folder: Path) -> Mapping[str, Any]:
        strongest = {name: choose_strongest(table, BARS_SHOWN) for name, table in tables.items()}
        draws: dict[str, Callable[[], Figure]] = {
            **{name: partial(draw_importances, table) for name, table in strongest.items()},
            WORD_CLOUDS: partial(draw_word_clouds, words),
        }
        write_pictures(folder, draws, forms)
        findings = {name: tell_importances(table) for name, table in strongest.items()}
        return {"findings": findings | {WORD_CLOUDS: tell_clouds(words)}}

    return run_stage(stage, build)


def draw_word_clouds(words: pl.DataFrame) -> Figure:
    """Draw a cloud of each genre's words."""
    return draw_clouds(place_clouds(words))


def read_importance(path: Path) -> pl.DataFrame:
    """Read the importances of a model.

    Raises:
        DataError: the file is missing or damaged, or holds something else.
    """
    try:
        table = pl.read_parquet(path, columns=list(IMPORTANCE)).cast(IMPORTANCE)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); explain the model again") from error
    if table.is_empty():
        raise DataError(f"{path}: no rows in it; explain the model again")
    return table.filter(pl.col("weight").is_finite())


def choose_strongest(importance: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return for each genre the strongest features for it and against it, at most `most` each, by falling weight.

    A feature is the stronger the greater its weight and the more movies have it: weight times log(1 + movies), so that
    neither what is in a single movie nor what is in all of them comes first.
    """
    strength = pl.col("weight").abs() * pl.col("movies").log1p()
    return (
        importance.filter(pl.col("kind").is_in(UNREADABLE).not_(), pl.col("weight") != 0)
        .with_columns(strength.alias("strength"), is_for=pl.col("weight") > 0)
        .sort("genre", "strength", "feature", "kind", descending=[False, True, False, False])
        .group_by("genre", "is_for", maintain_order=True)
        .head(most)
        .sort("genre", "weight", "feature", "kind", descending=[False, True, False, False])
        .select(*IMPORTANCE, "strength")
    )


def tell_importances(strongest: pl.DataFrame) -> str:
    """Return in one sentence what the bars show."""
    if strongest.is_empty():
        return "No feature that people can read speaks for or against any genre."
    ordered = strongest.sort("strength", "genre", "feature", descending=[True, False, False])
    ends = {"for": ordered.filter(pl.col("weight") > 0), "against": ordered.filter(pl.col("weight") < 0)}
    parts = []
    for side, top in ((side, rows.row(0, named=True)) for side, rows in ends.items() if rows.height):
        figures = f"{_signed(top['weight'])} in {top['movies']:,} movie{'' if top['movies'] == 1 else 's'}"
        parts.append(f"most {side} a genre: “{top['feature']}” {side} {top['genre']} ({figures})")
    return (
        f"Strength counted together with the number of movies, what speaks {', and '.join(parts)}. Weights are mean "
        "contributions to the log-odds; what few movies have can weigh more."
    )


def draw_importances(strongest: pl.DataFrame) -> Figure:
    """Draw one small chart a genre: bars to the right speak for it, bars to the left against; each chart has its scale.

    Args:
        strongest: of `choose_strongest`.
    """
    genres = strongest["genre"].unique(maintain_order=True).to_list()
    n_rows = max(ceil(len(genres) / COLUMNS), 1)
    figure = Figure(figsize=(COLUMNS * _CELL_IN, n_rows * _ROWS * _ROW_IN))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: an axes for each genre takes ten times as long
    axes.set(xlim=(0, 2 * COLUMNS), ylim=(n_rows * _ROWS, 0))
    axes.set_axis_off()
    for place, genre in enumerate(genres):
        corner = (place % COLUMNS * 2.0, place // COLUMNS * _ROWS)
        _draw_genre(axes, corner, genre, strongest.filter(pl.col("genre") == genre))
    if not genres:
        axes.text(COLUMNS, _ROWS / 2, "nothing to show", ha="center")
    return figure


def _draw_genre(axes: Axes, corner: tuple[float, float], genre: str, features: pl.DataFrame) -> None:
    left, top = corner
    middle, rows = left + 1.0, top + 1.7 + np.arange(features.height)
    weights = features["weight"].to_numpy()
    lengths = 0.66 * weights / np.abs(weights).max()
    axes.text(left + 0.1, top + 0.8, drawable(genre), fontsize=10, fontweight="bold", va="center")
    axes.barh(rows, lengths, left=middle, height=0.74, color=[BLUE if weight > 0 else VERMILION for weight in weights])
    axes.plot([middle, middle], [rows[0] - 0.5, rows[-1] + 0.5], color=INK, linewidth=0.7)
    for row, weight, length, feature in zip(rows, weights, lengths, features["feature"], strict=True):
        sign = 1 if weight > 0 else -1
        beside: dict[str, Any] = {"fontsize": 8, "va": "center_baseline"}
        name = drawable(feature, LONGEST_FEATURE)
        axes.text(middle - sign * 0.03, row, name, ha="right" if sign > 0 else "left", **beside)
        end = "left" if sign > 0 else "right"
        axes.text(middle + length + sign * 0.03, row, _signed(weight), ha=end, **beside, color="#595959")


def _signed(weight: float) -> str:
    return f"{weight:+.2f}".replace("-", "\N{MINUS SIGN}")


def place_clouds(words: pl.DataFrame) -> dict[str, list[PlacedWord]]:
    """Arrange the words that speak most for each genre, larger ones for stronger words; function words are left out."""
    strongest = _cloud_words(words)
    clouds = {}
    for genre in words["genre"].unique().sort():
        rows = strongest.filter(pl.col("genre") == genre).select("feature", "strength").iter_rows()
        strengths = {drawable(feature, LONGEST_FEATURE): strength for feature, strength in rows}
        clouds[genre] = place_words(strengths, DEFAULT_SEED)
    return clouds


def tell_clouds(words: pl.DataFrame) -> str:
    """Return in one sentence what the clouds show."""
    first = _cloud_words(words).sort("strength", "genre", "feature", descending=[True, False, False]).head(3)
    if first.is_empty():
        return "No word speaks for any genre."
    told = [f"“{feature}” for {genre}" for genre, feature in first.select("genre", "feature").iter_rows()]
    return f"The strongest are {', '.join(told)}."


def _cloud_words(words: pl.DataFrame) -> pl.DataFrame:
    telling = words.filter(pl.col("weight") > 0, pl.col("feature").str.to_lowercase().is_in(STOPWORDS).not_())
    return choose_strongest(telling, CLOUD_WORDS)


SIMILARITY_CSV: Final = "genre_similarity.csv"
TOP: Final = 100  # features for a genre whose overlap is measured
MEASURES: Final = {  # column of the table: what a hundredth of it is
    "importance_overlap": f"shared features, in per cent of the {TOP} that speak most for either genre",
    "importance_cosine": "cosine of the features' weights, times 100; blank: 0 or below",
    "tfidf_cosine": "cosine of the mean tf-idf vectors of the descriptions, times 100",
    "tfidf_excess_cosine": "cosine of the mean tf-idf vectors less that of all movies, times 100; blank: 0 or below",
}
PROFILE_MEASURES: Final = ("tfidf_cosine", "tfidf_excess_cosine")
SIMILARITY: Final = pl.Schema({"genre": pl.String, "other": pl.String, **dict.fromkeys(MEASURES, pl.Float64)})


def write_genre_similarity(model_folder: Path, paths: DataPaths, forms: Sequence[Form] = SVG_ONLY) -> StageResult:
    """Write how alike every two genres are, `genre_similarity.csv` (`SIMILARITY`), and a heat map of each measure.

    - `importance_overlap`: of the features with the greatest positive weights, the share that two genres share.
    - `importance_cosine`: the cosine of the weights, those of features that a genre lacks being 0.
    - `tfidf_cosine`, `tfidf_excess_cosine`: of `data/features/genre_profiles.csv`.

    A measure is null where one of the genres has nothing to compare. Every pair stands in both orders, sorted by genre,
    the genre most like it first by `importance_cosine`. The counts hold a finding for each measure, in words.

    Raises:
        DataError: the importances or the profiles are missing or damaged.
    """
    importance_file = model_folder / IMPORTANCE_FILE
    stage = Stage(
        "genre_similarity",
        paths.results,
        (SIMILARITY_CSV, *picture_files([picture_name(measure) for measure in MEASURES], forms)),
        (importance_file, paths.genre_profiles),
        {"model": model_folder.name},
        (Path(__file__),),
        ("matplotlib", "numpy", "polars"),
        removes_old=True,
    )

    def build(folder: Path) -> Mapping[str, Any]:
        table = compare_genres(read_importance(importance_file), _read_profiles(paths.genre_profiles))
        table.write_csv(folder / SIMILARITY_CSV, float_precision=6)
        draws = {picture_name(measure): partial(draw_similarity, table, measure) for measure in MEASURES}
        write_pictures(folder, draws, forms)
        return {"genres": table["genre"].n_unique(), **{measure: tell_nearest(table, measure) for measure in MEASURES}}

    return run_stage(stage, build)


def picture_name(measure: str) -> str:
    """Return the name of the heat map of a measure, without ending."""
    return f"genre_similarity_{measure}"


def compare_genres(importance: pl.DataFrame, profiles: pl.DataFrame) -> pl.DataFrame:
    """Return `SIMILARITY` of the genres in either table.

    Args:
        importance: `genre`, `kind`, `feature`, `weight`.
        profiles: `genre`, `other`, and the columns of `PROFILE_MEASURES`.
    """
    genres = sorted({*importance["genre"].to_list(), *profiles["genre"].to_list()})
    columns, place = np.unique((importance["kind"] + "\n" + importance["feature"]).to_numpy(), return_inverse=True)
    rows = np.searchsorted(genres, importance["genre"].to_numpy())
    weights = np.zeros((len(genres), len(columns)))
    weights[rows, place] = importance["weight"].to_numpy()
    overlap, cosine = overlaps(weights, TOP), cosines(weights)
    pairs = [
        (genres[one], genres[other], overlap[one, other], cosine[one, other])
        for one, other in permutations(range(len(genres)), 2)
    ]
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

    Of equal weights the first columns count. NaN where a row has no positive weight.
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
    """Return the cosine of every two rows; NaN where a row is zero."""
    lengths = np.linalg.norm(weights, axis=1)
    unit = weights / np.where(lengths > 0, lengths, np.nan)[:, None]
    return np.asarray(unit @ unit.T)


def tell_nearest(table: pl.DataFrame, measure: str) -> str:
    """Return in one sentence which genres are most and least alike."""
    known = table.drop_nulls(measure).filter(pl.col("genre") < pl.col("other")).sort(measure, "genre", "other")
    if known.is_empty():
        return "No two genres can be compared."
    ends = (known.row(-1, named=True), known.row(0, named=True))
    figures = [f"{row[measure]:.2f}".replace("-", "\N{MINUS SIGN}") for row in ends]
    words = [f"{row['genre']} and {row['other']} ({value})" for row, value in zip(ends, figures, strict=True)]
    if known.height == 1:
        return f"There are only {words[0]} to compare."
    return f"Most alike are {words[0]}, least {words[1]}."


def draw_similarity(table: pl.DataFrame, measure: str) -> Figure:
    """Draw one measure of every two genres in hundredths; grey: nothing to compare, and each genre with itself."""
    genres = table["genre"].unique().sort().to_list()
    values = np.full((len(genres), len(genres)), np.nan)
    place = {genre: row for row, genre in enumerate(genres)}
    for genre, other, value in table.select("genre", "other", measure).drop_nulls().iter_rows():
        values[place[genre], place[other]] = max(100 * value, 0.0)
    side = 1.9 + 0.3 * len(genres)
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    draw_heat_map(axes, values, genres, genres)
    axes.set_xlabel(_wrapped(MEASURES[measure]))
    return figure


def _wrapped(text: str) -> str:
    head, comma, tail = text.partition(", ")
    return f"{head}{comma.strip()}\n{tail}" if comma else text


def _read_profiles(path: Path) -> pl.DataFrame:
    columns = ["genre", "other", *PROFILE_MEASURES]
    try:
        return pl.read_csv(path, columns=columns, schema_overrides=dict.fromkeys(PROFILE_MEASURES, pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is damaged ({error}); delete it and compare again") from error
