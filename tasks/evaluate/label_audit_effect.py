"""What it does to a model to drop doubted movies from train. Owns the choice, the comparison and its words.

The comparison is on the same test movies with the same labels, doubtful ones among them: if what was dropped was
wrong, and test is wrong in the same way, a better model can look worse.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.decisions import PREDICTIONS_FILE
from tasks.errors import DataError
from tasks.evaluate.label_audit import AUDIT_FILE, read_audit
from tasks.evaluate.paired import measure_changes
from tasks.hashes import hash_file
from tasks.paths import DataPaths
from tasks.stage import Stage, StageResult, run_stage

_KINDS: Final = {"doubted": "most doubted", "random": "randomly chosen"}
DROP_FILES: Final = {"doubted": "drop_doubted.csv", "random": "drop_random.csv"}
EFFECT_FILE: Final = "label_audit_effect.csv"
EFFECT: Final = pl.Schema(
    {
        "model": pl.String,
        "dropped": pl.String,  # "doubted" or "random" train movies
        "dropped_movies": pl.Int64,
        "train_movies": pl.Int64,  # before
        "metric": pl.String,
        "with_all": pl.Float64,
        "without": pl.Float64,
        "difference": pl.Float64,
        "low": pl.Float64,  # of the 95 % interval of the difference
        "high": pl.Float64,
        "finding": pl.String,
    }
)
METRICS: Final = {"jaccard": "Jaccard", "f1_macro": "macro F1"}


def choose_dropped(train: DataPaths, share: float | None, seed: int) -> StageResult:
    """Write which movies of an audited data folder to drop: the most doubted ones, and as many random ones.

    Args:
        train: a data folder with train movies alone, whose labels were audited.
        share: of its movies to drop at most, the most doubted first; none: all that are doubted.
        seed: of the random ones.

    Raises:
        DataError: nothing is doubted, or everything.
    """
    stage = Stage(
        name="choose_dropped",
        folder=train.results,
        outputs=tuple(DROP_FILES.values()),
        inputs=(train.splits, train.results / AUDIT_FILE),
        config={"share": share, "seed": seed},
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        ids = pl.read_parquet(train.splits, columns=["movie_id"])["movie_id"].sort()
        doubted = read_audit(train)["movie_id"]
        if share is not None:
            doubted = doubted.head(round(share * len(ids)))
        if not 0 < len(doubted) < len(ids):
            raise DataError(
                f"{train.root}: {len(doubted)} of {len(ids)} train movies are to be dropped; change --share"
            )
        drawn = np.random.default_rng(seed).choice(len(ids), len(doubted), replace=False)
        for name, chosen in (("doubted", doubted), ("random", ids[np.sort(drawn).tolist()])):
            pl.DataFrame({"movie_id": chosen}).write_csv(folder / DROP_FILES[name])
        return {"train_movies": len(ids), "dropped_movies": len(doubted)}

    return run_stage(stage, build)


def measure_effect(with_all: Path, without: Mapping[str, Path], train: DataPaths, home: DataPaths) -> StageResult:
    """Write how much better or worse a model is without the dropped movies, `EFFECT`; the counts hold the findings.

    Args:
        with_all: folder of the evaluated model that was trained on all train movies.
        without: folders of those trained without some, by what was dropped: keys of `DROP_FILES`.
        train: the data folder in which `choose_dropped` ran.
        home: the data folder that was audited; the counts hold the hash of its splits, which tells its data apart.

    Raises:
        DataError: the models were not tested on the same movies.
    """
    splits = hash_file(home.splits)
    predictions = {name: hash_file(folder / PREDICTIONS_FILE) for name, folder in {"all": with_all, **without}.items()}
    stage = Stage(
        name="label_audit_effect",
        folder=home.results,
        outputs=(EFFECT_FILE,),
        inputs=(train.splits, *(train.results / DROP_FILES[name] for name in without)),
        config={"model": with_all.name, "predictions": predictions, "splits": splits},
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        n_train = pl.scan_parquet(train.splits).select(pl.len()).collect().item()
        changes = measure_changes(with_all, list(without.values()))
        rows = []
        for name, by_metric in zip(without, changes, strict=True):
            n_dropped = pl.read_csv(train.results / DROP_FILES[name], infer_schema=False).height
            what = f"Without the {n_dropped:,} {_KINDS[name]} of {n_train:,} train movies"
            for metric, change in by_metric.items():
                figures = (change.before, change.after, change.after - change.before, change.low, change.high)
                finding = f"{what} the {METRICS[metric]} on test is {change.in_words}."
                rows.append((with_all.name, name, n_dropped, n_train, metric, *figures, finding))
        table = pl.DataFrame(rows, schema=EFFECT, orient="row")
        table.write_csv(folder / EFFECT_FILE, float_precision=6)
        return {"findings": table["finding"].to_list(), "splits": splits}

    return run_stage(stage, build)
