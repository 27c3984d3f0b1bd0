"""The evaluate stage: saved scores in; fitted rules, metrics and tables out. Owns the choice of a rule; knows no model.

Rules are fitted and chosen on validation only. The `val/` figures that the choice rests on are cross-fitted: each
movie is decided by a rule that was fitted on the other folds, because a rule looks better on the movies that it was
fitted on, and the more thresholds it has, the more so. The `test/` figures are those of the rule fitted on all of
validation.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.decision.fit import fit_rules
from tasks.decision.rules import Rule, rules_to_json
from tasks.errors import DataError
from tasks.evaluate.metrics import MOVIE_METRICS, evaluate, movie_metrics
from tasks.evaluate.per_genre import per_genre_table
from tasks.paths import DataPaths
from tasks.schema import PREDICTIONS
from tasks.scores import Scores, read_scores, truth_matrix
from tasks.stage import Stage, StageResult, run_stage

logger = logging.getLogger(__name__)

TASKS: Final = Path(__file__).parents[1]
FOLDS: Final = 5
RULES_FILE: Final = "rules.json"
METRICS_FILE: Final = "metrics.json"
PER_GENRE_FILE: Final = "per_genre.csv"
PREDICTIONS_FILE: Final = "predictions_test.parquet"


@dataclass(frozen=True)
class ScoredPart:
    """The scores of a model on one part of the data, and the truth about it, of the same shape."""

    scores: Scores
    truth: NDArray[np.bool_]


def evaluate_model(model_folder: Path, paths: DataPaths) -> StageResult:
    """Fit every decision rule to a model's scores, choose one, and write what it does beside the scores.

    - `rules.json`: `chosen`, `genres`, and `rules`, all fitted ones by name (`tasks.decision.rules.rules_from_json`).
    - `metrics.json`: `chosen_rule`, and `rules`, for each rule the metrics of `tasks.evaluate.metrics.evaluate` under
      `val/<metric>` (cross-fitted) and `test/<metric>`. An undefined metric is absent.
    - `per_genre.csv`: the table of `per_genre_table`, on test, by the chosen rule.
    - `predictions_test.parquet`: `schema.PREDICTIONS`, by the chosen rule.

    The chosen rule has the greatest `val/jaccard`; of equals it is the simplest.

    Args:
        model_folder: holds `scores_validation.parquet` and `scores_test.parquet`.
        paths: the data folder with the cleaned movies and the split.

    Returns:
        The stage's result. Counts: `chosen_rule`, its `val/jaccard` and `test/jaccard`, `validation_movies`,
        `test_movies`, and `genres_without_validation_positives`, whose threshold is the global one.

    Raises:
        DataError: a file is damaged, a part is empty, or the scores are not of the movies of their part or not of the
            same genres in both.
    """
    stage = Stage(
        name="evaluate",
        folder=model_folder,
        outputs=(RULES_FILE, METRICS_FILE, PER_GENRE_FILE, PREDICTIONS_FILE),
        inputs=(*(_scores_path(model_folder, part) for part in ("validation", "test")), paths.movies, paths.splits),
        config={"folds": FOLDS},
        code=(TASKS / "evaluate", TASKS / "decision", TASKS / "scores.py"),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        validation = read_part(model_folder, "validation", paths)
        test = read_part(model_folder, "test", paths)
        if validation.scores.genres != test.scores.genres:
            raise DataError(
                f"{model_folder}: validation has scores of {', '.join(validation.scores.genres)}; test has scores of "
                f"{', '.join(test.scores.genres)}; they must be of the same genres in the same order: train it again"
            )
        return _evaluate_parts(validation, test, folder)

    return run_stage(stage, build)


def cross_fit(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return each rule's decisions on movies that it was not fitted on, by rule name.

    Every fifth movie is in the same fold. With fewer movies than folds each movie is a fold; a single movie is decided
    by rules that were fitted on it, for want of others.
    """
    fold_of = np.arange(len(scores)) % min(FOLDS, len(scores))
    decided: dict[str, NDArray[np.bool_]] = {}
    for fold in range(fold_of.max() + 1):
        held_out = fold_of == fold
        others = held_out if held_out.all() else ~held_out
        for name, rule in fit_rules(scores[others], truth[others]).items():
            decided.setdefault(name, np.zeros_like(truth))[held_out] = rule.decide(scores[held_out])
    return decided


def read_part(model_folder: Path, part: str, paths: DataPaths) -> ScoredPart:
    """Return a model's scores on a part with the truth.

    Raises:
        DataError: the scores are not of exactly the movies of the part, or the part is empty.
    """
    path = _scores_path(model_folder, part)
    scores = read_scores(path)
    splits = pl.scan_parquet(paths.splits).filter(pl.col("part").cast(pl.String) == part)
    expected = set(splits.select("movie_id").collect().get_column("movie_id").to_list())
    if not expected:
        raise DataError(f"{paths.splits}: no movie is in the {part} part; split again with a larger share for it")
    if different := sorted(expected.symmetric_difference(scores.movie_ids)):
        raise DataError(
            f"{path}: {len(different)} movies are not both here and in the {part} part of {paths.splits}, the first is "
            f"{different[0]}; train the model again on this split"
        )
    movies = pl.read_parquet(paths.movies, columns=["movie_id", "genres"])
    ids = pl.DataFrame({"movie_id": scores.movie_ids}, schema={"movie_id": pl.String})
    genres = ids.join(movies, on="movie_id", how="left", maintain_order="left").get_column("genres")
    if genres.null_count():
        raise DataError(
            f"{paths.movies} lacks {genres.null_count()} movies of {paths.splits}; run the split stage again"
        )
    truth = truth_matrix(genres.to_list(), scores.genres)
    if not truth.any():
        raise DataError(f"{paths.movies}: no movie of the {part} part has a genre; clean the listings again")
    return ScoredPart(scores, truth)


def _evaluate_parts(validation: ScoredPart, test: ScoredPart, folder: Path) -> dict[str, Any]:
    genres = validation.scores.genres
    unseen = [genre for genre, y in zip(genres, validation.truth.T, strict=True) if not y.any()]
    if unseen:
        logger.warning(
            "no validation movie is %s: the rules treat it as they treat genres on the whole", ", ".join(unseen)
        )
    rules = fit_rules(validation.scores.scores, validation.truth)
    metrics = _score_rules(rules, validation, test)
    chosen = max(rules, key=lambda name: metrics[name]["val/jaccard"])
    _write_json(folder / RULES_FILE, {"chosen": chosen, "genres": genres, "rules": rules_to_json(rules)})
    _write_json(folder / METRICS_FILE, {"chosen_rule": chosen, "rules": metrics})
    decided = rules[chosen].decide(test.scores.scores)
    thresholds = rules[chosen].genre_thresholds(len(genres))
    per_genre_table(test.truth, decided, test.scores.scores, genres, thresholds).write_csv(folder / PER_GENRE_FILE)
    _predictions(test, decided).write_parquet(folder / PREDICTIONS_FILE, compression="zstd")
    return {
        "chosen_rule": chosen,
        "val/jaccard": metrics[chosen]["val/jaccard"],
        "test/jaccard": metrics[chosen]["test/jaccard"],
        "validation_movies": len(validation.truth),
        "test_movies": len(test.truth),
        "genres_without_validation_positives": unseen,
    }


def _score_rules(rules: Mapping[str, Rule], validation: ScoredPart, test: ScoredPart) -> dict[str, dict[str, float]]:
    held_out = cross_fit(validation.scores.scores, validation.truth)
    result = {}
    for name, rule in rules.items():
        on_validation = evaluate(validation.truth, held_out[name], validation.scores.scores, validation.scores.genres)
        on_test = evaluate(test.truth, rule.decide(test.scores.scores), test.scores.scores, test.scores.genres)
        named = {f"val/{metric}": value for metric, value in on_validation.items()}
        named |= {f"test/{metric}": value for metric, value in on_test.items()}
        result[name] = {metric: value for metric, value in named.items() if np.isfinite(value)}
    return result


def _predictions(test: ScoredPart, decided: NDArray[np.bool_]) -> pl.DataFrame:
    names = np.asarray(test.scores.genres)
    jaccard = movie_metrics(test.truth, decided)[:, MOVIE_METRICS.index("jaccard")]
    return pl.DataFrame(
        {
            "movie_id": test.scores.movie_ids,
            "true_genres": [names[row].tolist() for row in test.truth],
            "predicted_genres": [names[row].tolist() for row in decided],
            "jaccard": pl.Series(jaccard).fill_nan(None),
        },
        schema=PREDICTIONS,
    )


def _scores_path(model_folder: Path, part: str) -> Path:
    return model_folder / f"scores_{part}.parquet"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
