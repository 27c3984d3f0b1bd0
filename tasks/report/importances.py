"""What speaks for and against each genre, as pictures. Owns their form and their stage; explains no movie itself."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from wordcloud import STOPWORDS

from tasks.errors import DataError
from tasks.picture import BLUE, INK, SVG_ONLY, VERMILION, Form, drawable, picture_files, write_pictures
from tasks.schema import DEFAULT_SEED, IMPORTANCE
from tasks.stage import Stage, StageResult, run_stage
from tasks.word_cloud import PlacedWord, draw_clouds, place_words

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
