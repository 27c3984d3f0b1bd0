"""A data folder with some of the movies of another one. Owns how it is made; knows not what it is for.

Whatever works on a data folder works on such a one as it is, and what is not in it cannot be seen or changed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tasks.errors import DataError
from tasks.paths import DataPaths
from tasks.stage import Stage, StageResult, recorded_config, run_stage


def write_subset(paths: DataPaths, root: Path, part: str | None = None, without: Path | None = None) -> StageResult:
    """Write a data folder with the movies of one part, or with all but some train movies; their order stays.

    It gets the clean table, the genres (all of them), the split and, where there is one, the annotated corpus.

    Args:
        paths: the whole data folder.
        root: the new one.
        part: the part whose movies it gets; none: all parts.
        without: a CSV whose `movie_id` names train movies to leave out; none: nothing.

    Raises:
        DataError: a file is missing, no movie is left, or a movie to leave out is none of train.
    """
    target = DataPaths(root)
    files = {target.movies: paths.movies, target.splits: paths.splits}
    if paths.tokens.is_file():
        files[target.tokens] = paths.tokens
    sidecars = [target.tokens.parent / "annotate.stage.json"] if target.tokens in files else []
    stage = Stage(
        name="subset",
        folder=root,
        outputs=tuple(str(path.relative_to(root)) for path in (*files, target.genres_json, *sidecars)),
        inputs=(*files.values(), paths.genres_json, *([without] if without else [])),
        config={"part": part},
        code=(Path(__file__),),
        packages=("polars",),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        splits = pl.read_parquet(paths.splits)
        kept = splits.filter(pl.col("part").cast(pl.String) == part) if part else splits
        if without:
            kept = kept.join(_train_movies_to_drop(splits, without, paths), on="movie_id", how="anti")
        if kept.is_empty():
            raise DataError(f"{root}: no movie of {paths.splits} is left in it")
        for path, source in files.items():
            place = folder / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            rows = pl.read_parquet(source).join(kept.select("movie_id"), on="movie_id", how="semi")
            rows.write_parquet(place, compression="zstd")
        (folder / target.genres_json.relative_to(root)).write_bytes(paths.genres_json.read_bytes())
        for path in sidecars:
            config = {"config": recorded_config(paths.tokens.parent, "annotate")}  # what readers of lemmas ask for
            (folder / path.relative_to(root)).write_text(json.dumps(config, sort_keys=True) + "\n", encoding="utf-8")
        return {"movies": kept.height, "left_out": splits.height - kept.height}

    return run_stage(stage, build)


def _train_movies_to_drop(splits: pl.DataFrame, without: Path, paths: DataPaths) -> pl.DataFrame:
    ids = pl.read_csv(without, columns=["movie_id"], infer_schema=False)
    train = splits.filter(pl.col("part").cast(pl.String) == "train")
    strangers = ids.join(train, on="movie_id", how="anti")["movie_id"].sort()
    if len(strangers):
        raise DataError(
            f"{without}: {len(strangers)} movies are not in the train part of {paths.splits}, the first is "
            f"{strangers[0]}; only train movies can be left out"
        )
    return ids
