"""How alike genres are to a model and in their descriptions. Owns the measures on importances, the table, its pictures.

The earlier system published such tables for Drama against each other genre; here they are for every genre.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.paths import DataPaths
from tasks.picture import SVG_ONLY, Form, draw_heat_map, new_figure, picture_files, write_pictures
from tasks.report.importances import IMPORTANCE_FILE, read_importance
from tasks.stage import Stage, StageResult, run_stage

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
