"""The split stage: the part of each movie, and data folders with some of the movies."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from tasks.core.errors import DataError
from tasks.core.schema import N_FOLDS, PARTS, SPLITS
from tasks.core.settings import DataPaths
from tasks.split.stratify import stratify
from tasks.stage import Stage, StageResult, config_dict, recorded_config, run_stage

logger = logging.getLogger(__name__)

# In the file and not in the sidecar: a run killed while publishing leaves one whole file or the other.
_KEY: Final = "genreflow.split"


class SplitConfig(BaseModel, frozen=True, extra="forbid"):
    """How large each part is. What is neither test nor validation is train."""

    test_share: float = Field(0.1, gt=0, lt=1, description="Share of all movies for the final figures.")
    validation_share: float = Field(
        0.1, gt=0, lt=1, description="Share of all movies for choosing decision rules and models."
    )
    development_share: float = Field(
        0.1, gt=0, lt=1, description="Share of the train part to mark as its development subset."
    )
    keep_sides: bool = Field(
        True, description="Keep the assignment of movies by an earlier run with the same shares and seed."
    )

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError(
                f"test_share {self.test_share} and validation_share {self.validation_share} leave nothing to train on; "
                "their sum must be below 1"
            )
        return self


def split_movies(paths: DataPaths, config: SplitConfig, seed: int) -> StageResult:
    """Write `splits.parquet`: for each movie its part, its fold and whether it is in train's development subset.

    Every genre has, as nearly as counts allow, the same share in all parts, in the development subset and in the folds
    of each part. Movies of one text group stay together in all of them. A movie that an earlier run in this folder
    assigned, with the same shares and seed, stays where it is.

    Returns:
        Counts of `count_parts`; `movies_kept` where they were, `movies_new`, and `movies_gone` since; `text_groups`.

    Raises:
        DataError: there are too few movies for one in every part, or the earlier splits are damaged.
    """
    settings, code, packages = {**config_dict(config), "seed": seed}, (Path(__file__),), ("numpy", "polars")
    stage = Stage("split", paths.splits.parent, (paths.splits.name,), (paths.movies,), settings, code, packages)

    def build(folder: Path) -> dict[str, Any]:
        movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres", "text_group"])
        smallest = min(config.test_share, config.validation_share, 1 - config.test_share - config.validation_share)
        needed = math.ceil(round(1 / smallest, 6))
        if movies.height < needed:
            raise DataError(
                f"{paths.movies}: {movies.height} movies are too few to split. At least {needed} are needed, so that a "
                f"part with a share of {smallest:g} has one: add listings, or raise the smaller of the test and "
                "validation shares"
            )
        earlier = _read_earlier_splits(paths.splits, config, seed)
        splits = assign_parts(movies, config, seed, earlier)
        metadata = {_KEY: _origin(config, seed)}
        splits.write_parquet(folder / paths.splits.name, compression="zstd", metadata=metadata)
        kept = int(movies["movie_id"].is_in(earlier["movie_id"].implode()).sum())
        changes = {"movies_kept": kept, "movies_new": movies.height - kept, "movies_gone": earlier.height - kept}
        logger.info("split: %d movies kept, %d new, %d removed", *changes.values())
        return {**count_parts(movies, splits), **changes, "text_groups": _count_groups(movies, splits)}

    return run_stage(stage, build)


def _read_earlier_splits(path: Path, config: SplitConfig, seed: int) -> pl.DataFrame:
    """Return `schema.SPLITS` of an earlier run with the same shares and seed; no rows if there is none to keep."""
    nothing = pl.DataFrame(schema=SPLITS)
    if not config.keep_sides or not path.is_file():
        return nothing
    try:
        recorded = (pq.read_metadata(path).metadata or {}).get(_KEY.encode())
        earlier = pl.read_parquet(path)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}), so movies cannot stay where they were: restore it, or delete it to "
            "split all movies again"
        ) from error
    if recorded != _origin(config, seed).encode() or earlier.schema != SPLITS:
        by = recorded.decode() if recorded else "another version"
        logger.warning("split: all movies are split again, since %s was made with %s", path, by)
        return nothing
    return earlier


def _origin(config: SplitConfig, seed: int) -> str:
    return json.dumps({**config.model_dump(mode="json", exclude={"keep_sides"}), "seed": seed})


def assign_parts(
    movies: pl.DataFrame, config: SplitConfig, seed: int, earlier: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return `schema.SPLITS` for `movie_id`, `genres` and `text_group`; movies in `earlier` splits keep their part."""
    Y, _ = _genre_matrix(movies["genres"])
    groups = movies["text_group"].rank("dense").to_numpy().astype(np.int64)
    known = movies.select("movie_id").join(
        pl.DataFrame(schema=SPLITS) if earlier is None else earlier, on="movie_id", how="left", maintain_order="left"
    )
    numbers = (pl.col("part").to_physical(), pl.col("fold"), pl.col("is_development"))
    kept = known.select(column.cast(pl.Int8).fill_null(-1) for column in numbers)  # -1: new
    fold, development = np.empty(len(Y), dtype=np.int8), np.zeros(len(Y), dtype=np.int8)

    def divide(rows: NDArray[np.bool_], shares: list[float], what: str) -> NDArray[np.int8]:
        return stratify(Y[rows], shares, seed, groups[rows], kept[what].to_numpy()[rows])

    train_share = 1 - config.test_share - config.validation_share
    part = divide(np.ones(len(Y), dtype=np.bool_), [train_share, config.validation_share, config.test_share], "part")
    for number in range(len(PARTS)):
        fold[part == number] = divide(part == number, [1 / N_FOLDS] * N_FOLDS, "fold")
    in_train = part == PARTS.index("train")
    subset = [1 - config.development_share, config.development_share]
    development[in_train] = divide(in_train, subset, "is_development")
    names = np.asarray(PARTS)[part]
    columns = {"movie_id": movies["movie_id"], "part": names, "is_development": development == 1, "fold": fold}
    return pl.DataFrame(columns, schema=SPLITS)


def count_parts(movies: pl.DataFrame, splits: pl.DataFrame) -> dict[str, Any]:
    """Return the movies of each part and genre, and the largest differences between shares, in percentage points.

    `largest_share_difference` is between a genre's share of validation or test and of all movies,
    `largest_fold_share_difference` between that of a fold of train and of train. Both tables have the same order.
    """
    Y, genres = _genre_matrix(movies["genres"])
    members = {name: (splits["part"] == name).to_numpy() for name in PARTS}
    members["development"] = splits["is_development"].to_numpy()
    train, fold = members["train"], splits["fold"].to_numpy()
    parts = [_share_difference(Y, Y[members[name]]) for name in ("validation", "test")]
    folds = [_share_difference(Y[train], Y[train & (fold == number)]) for number in range(N_FOLDS)]
    return {
        "movies": movies.height,
        **{name: int(rows.sum()) for name, rows in members.items()},
        "genres": {
            genre: {name: int(Y[rows, column].sum()) for name, rows in members.items()}
            for column, genre in enumerate(genres)
        },
        "largest_share_difference": round(max(parts), 4),
        "largest_fold_share_difference": round(max(folds), 4),
    }


def _count_groups(movies: pl.DataFrame, splits: pl.DataFrame) -> dict[str, int]:
    """Return the text groups of several movies, these movies, and the groups that are split, for tables in one order.

    A group is split only if an earlier run had assigned its movies before they were known to be equal. Those
    `across_folds` and `across_development` are among those within one part.
    """
    by_group = splits.with_columns(movies["text_group"]).group_by("text_group")
    sides = by_group.agg(pl.len(), pl.col("part", "fold", "is_development").n_unique())
    several = sides.filter(pl.col("len") > 1)
    whole = several.filter(pl.col("part") == 1)
    if n_divided := several.height - whole.height:
        logger.warning(
            "split: %d groups of near-duplicates are split between parts, because an earlier run had assigned their "
            "movies; --split.keep-sides false splits all movies again",
            n_divided,
        )
    return {
        "groups": several.height,
        "movies": int(several["len"].sum()),
        "across_parts": n_divided,
        "across_folds": whole.filter(pl.col("fold") > 1).height,
        "across_development": whole.filter(pl.col("is_development") > 1).height,
    }


def _share_difference(whole: NDArray[np.bool_], sample: NDArray[np.bool_]) -> float:
    """Return the largest difference between a genre's shares, in percentage points; 0 for a sample without rows."""
    return 100 * float(np.abs(sample.mean(axis=0) - whole.mean(axis=0)).max(initial=0)) if len(sample) else 0.0


def _genre_matrix(genres: pl.Series) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which movie (row) has which genre (column), and the sorted genres of the columns."""
    names = sorted(genres.explode().drop_nulls().unique().to_list())
    columns = [genres.list.contains(name).fill_null(value=False).to_numpy() for name in names]
    return np.column_stack([np.zeros((len(genres), 0), dtype=np.bool_), *columns]), names


def write_subset(paths: DataPaths, root: Path, part: str | None = None, without: Path | None = None) -> StageResult:
    """Write a data folder with the movies of one part (default: all), `without` train movies listed in a CSV.

    It gets the clean table, all genres, the split and the annotated corpus, if any; movies keep their order. The CSV
    has a column `movie_id`.

    Raises:
        DataError: a file is missing, no movie is left, or a movie to leave out is not in train.
    """
    target = DataPaths(root)
    files = {target.movies: paths.movies, target.splits: paths.splits}
    files |= {target.tokens: paths.tokens} if paths.tokens.is_file() else {}
    sidecars = [target.tokens.parent / "annotate.stage.json"] if target.tokens in files else []
    outputs = tuple(str(path.relative_to(root)) for path in (*files, target.genres_json, *sidecars))
    inputs = (*files.values(), paths.genres_json, *([without] if without else []))
    stage = Stage("subset", root, outputs, inputs, {"part": part}, (Path(__file__),), ("polars",))

    def build(folder: Path) -> Mapping[str, Any]:
        splits = pl.read_parquet(paths.splits)
        kept = splits.filter(pl.col("part").cast(pl.String) == part) if part else splits
        if without:
            ids = pl.read_csv(without, columns=["movie_id"], infer_schema=False)
            train = splits.filter(pl.col("part").cast(pl.String) == "train")
            unknown = ids.join(train, on="movie_id", how="anti")["movie_id"].sort()
            if len(unknown):
                raise DataError(
                    f"{without}: {len(unknown)} movies are not in the train part of {paths.splits}, the first is "
                    f"{unknown[0]}; only train movies can be left out"
                )
            kept = kept.join(ids, on="movie_id", how="anti")
        if kept.is_empty():
            raise DataError(f"{root}: no movie of {paths.splits} is left for it")
        for path, source in files.items():
            file = folder / path.relative_to(root)
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = pl.read_parquet(source).join(kept.select("movie_id"), on="movie_id", how="semi")
            rows.write_parquet(file, compression="zstd")
        (folder / target.genres_json.relative_to(root)).write_bytes(paths.genres_json.read_bytes())
        for path in sidecars:
            config = {"config": recorded_config(paths.tokens.parent, "annotate")}  # readers of lemmas need it
            (folder / path.relative_to(root)).write_text(json.dumps(config, sort_keys=True) + "\n", encoding="utf-8")
        return {"movies": kept.height, "left_out": splits.height - kept.height}

    return run_stage(stage, build)
