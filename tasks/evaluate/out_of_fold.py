"""The evaluate stage of a cross-validation: what the out-of-fold scores of all movies tell, fold by fold.

Each fold is decided by rules that were fitted on the other folds' scores. The figures are of all movies, those of
validation and test among them: they say how good a way to make a model is and how much that depends on the movies.
Whoever chooses a model by them has no test left to judge it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.evaluation import DEFAULT, METRICS_FILE, PER_GENRE_FILE, choose_rule, cross_fit, write_json
from tasks.evaluate.parts import OUT_OF_FOLD, ScoredPart, predictions_table, read_part
from tasks.evaluate.per_genre import per_genre_table
from tasks.evaluate.ranking import ranking_metrics
from tasks.metrics import count_genres, decision_metrics, precision_recall_f1
from tasks.paths import DataPaths
from tasks.stage import Stage, StageResult, config_dict, run_stage

OUT_OF_FOLD_FILE: Final = "predictions_out_of_fold.parquet"

Decided = NDArray[np.bool_]
Folds = NDArray[np.integer[Any]]


def evaluate_out_of_fold(folder: Path, paths: DataPaths, config: EvaluateConfig = DEFAULT) -> StageResult:
    """Decide every movie by rules of the other folds, and write what that gives beside the scores.

    - `metrics.json`: `chosen_rule`, and `rules`, for each rule and each metric of `tasks.evaluate.metrics.evaluate` its
      `mean` over folds, its `std` (sample standard deviation) and its values in the `folds`. A metric that is undefined
      in some fold is absent.
    - `per_genre.csv`: the table of `per_genre_table`, over all movies, by the chosen rule, without thresholds, which
      differ from fold to fold; and `f1_std`, the standard deviation of F1 over folds, null where a fold has none.
    - `predictions_out_of_fold.parquet`: `schema.PREDICTIONS` of all movies, by the chosen rule.

    The chosen rule is the one that the configuration names; if none, the one with the best mean of `choose_by`, of
    equals the simplest.

    Args:
        folder: holds `scores_out_of_fold.parquet`.
        paths: the data folder with the cleaned movies and the split.
        config: how to choose the rule.

    Raises:
        DataError: the scores are damaged or not of all movies, or the metric is undefined in some fold.
    """
    scores = folder / f"scores_{OUT_OF_FOLD}.parquet"
    stage = Stage(
        name="evaluate_out_of_fold",
        folder=folder,
        outputs=(METRICS_FILE, PER_GENRE_FILE, OUT_OF_FOLD_FILE),
        inputs=(scores, paths.movies, paths.splits),
        config=config_dict(config),
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(target: Path) -> Mapping[str, Any]:
        part = read_part(folder, OUT_OF_FOLD, paths)
        fold_of = _folds(part, paths)
        decided = cross_fit(part.scores.scores, part.truth, fold_of)
        metrics = _metrics_by_fold(part, decided, fold_of)
        means = {rule: {name: each["mean"] for name, each in values.items()} for rule, values in metrics.items()}
        chosen = choose_rule(means, config, prefix="")
        write_json(target / METRICS_FILE, {"chosen_rule": chosen, "chosen_by": config.choose_by, "rules": metrics})
        _per_genre(part, decided[chosen], fold_of).write_csv(target / PER_GENRE_FILE)
        predictions_table(part, decided[chosen]).write_parquet(target / OUT_OF_FOLD_FILE, compression="zstd")
        return {"chosen_rule": chosen, "movies": len(fold_of), "jaccard": means[chosen]["jaccard"]}

    return run_stage(stage, build)


def _folds(part: ScoredPart, paths: DataPaths) -> Folds:
    scored = pl.DataFrame({"movie_id": part.scores.movie_ids}, schema={"movie_id": pl.String})
    folds = pl.read_parquet(paths.splits, columns=["movie_id", "fold"])
    return scored.join(folds, on="movie_id", how="left", maintain_order="left").get_column("fold").to_numpy()


def _metrics_by_fold(part: ScoredPart, decided: Mapping[str, Decided], fold_of: Folds) -> dict[str, Any]:
    by_fold: dict[str, list[dict[str, float]]] = {rule: [] for rule in decided}
    for rows in (fold_of == fold for fold in np.unique(fold_of)):
        ranking = ranking_metrics(part.truth[rows], part.scores.scores[rows])  # whatever the rule
        for rule, labels in decided.items():
            by_fold[rule].append({**decision_metrics(part.truth[rows], labels[rows]), **ranking})
    return {
        rule: {
            metric: {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)), "folds": values}
            for metric, values in ((metric, [fold[metric] for fold in folds]) for metric in folds[0])
            if np.isfinite(values).all()
        }
        for rule, folds in by_fold.items()
    }


def _per_genre(part: ScoredPart, decided: Decided, fold_of: Folds) -> pl.DataFrame:
    f1 = [
        precision_recall_f1(count_genres(part.truth[rows], decided[rows]))["f1"]
        for rows in (fold_of == fold for fold in np.unique(fold_of))
    ]
    table = per_genre_table(part.truth, decided, part.scores.scores, part.scores.genres).drop("threshold")
    return table.with_columns(pl.Series("f1_std", np.std(f1, axis=0, ddof=1)).fill_nan(None))
