"""The leaderboard of evaluated models. Owns its columns and its order; computes no metric but how sure one is.

Models are ordered by the metric by which their rules were chosen (the Jaccard, unless told otherwise) on validation,
never by the test: the test says how good the chosen one is, and it can say so only as long as it has no part in the
choice.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.bootstrap import Interval, interval, resample
from tasks.decisions import read_decisions
from tasks.errors import DataError
from tasks.metrics import LOWER_IS_BETTER

# Column: how many decimals people see. Its value is the metric of the same name: val_jaccard is val/jaccard.
_METRICS: Final = {
    "val_jaccard": 4,
    "val_f1_macro": 4,
    "test_jaccard": 4,
    "test_f1_samples": 4,
    "test_f1_micro": 4,
    "test_f1_macro": 4,
    "test_f1_weighted": 4,
    "test_precision_samples": 4,
    "test_precision_micro": 4,
    "test_precision_macro": 4,
    "test_precision_weighted": 4,
    "test_recall_samples": 4,
    "test_recall_micro": 4,
    "test_recall_macro": 4,
    "test_recall_weighted": 4,
    "test_hamming_loss": 4,
    "test_exact_match": 4,
    "test_at_least_one": 4,
    "test_at_least_two": 4,
    "test_signed_overlap": 4,
    "test_balanced_accuracy": 4,
    "test_mean_average_precision": 4,
    "test_coverage_error": 2,
    "test_label_ranking_loss": 4,
    "test_ece_raw": 4,
    "test_ece_calibrated": 4,
    "test_undefined_genres": 0,
}
INTERVALS: Final = ("test_jaccard", "test_f1_samples", "test_f1_micro", "test_f1_macro")
_COSTS: Final = {"fit_s": 1, "predict_docs_per_s": 0, "model_memory_mb": 1, "model_mb": 1}
_BEHIND: Final = {"behind": 4, "behind_low": 4, "behind_high": 4}
_ENDS: Final = {f"{column}_{end}": _METRICS[column] for column in INTERVALS for end in ("low", "high")}
DECIMALS: Final = {**_METRICS, **_ENDS, **_BEHIND, **_COSTS}

LEADERBOARD: Final = pl.Schema(
    {
        "rank": pl.Int64,
        "model": pl.String,
        "chosen_by": pl.String,
        "rule": pl.String,
        **dict.fromkeys(DECIMALS, pl.Float64),
        "distinct_answers": pl.Int64,
    }
)
METRICS_FILE, FIT_FILE = "metrics.json", "fit.json"


def rank_models(model_folders: Sequence[Path], data_hashes: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Gather evaluated models into one table (`LEADERBOARD`), the best on validation first.

    The best by the metric that `chosen_by` names. A metric that is absent or undefined is null; a model without the one
    that decides comes last. Equal models are ordered by name. `<metric>_low` and `<metric>_high` are 95 % intervals by
    a bootstrap over test movies. `behind` is how much less test Jaccard a model has than the first one, on the movies
    that have one, with its interval by the same bootstrap. `distinct_answers` is how many different sets of genres a
    model gives the test movies. `model_memory_mb` is what a model's arrays and vocabularies hold in memory.

    Args:
        model_folders: of evaluated models, which they name.
        data_hashes: of the models' data by model name, where known, for messages.

    Raises:
        DataError: no folder is given, two have one name, a file in one is missing or damaged, the models were not
            tested on the same movies, or their rules were chosen by different metrics.
    """
    if not model_folders:
        raise DataError("leaderboard: no evaluated model; expected at least one folder with metrics.json and fit.json")
    names = [folder.name for folder in model_folders]
    if len(set(names)) < len(names):
        raise DataError(f"leaderboard: two model folders have the same name among {', '.join(sorted(names))}")
    rows = [_read_model(folder) for folder in model_folders]
    if len(metrics := {row["chosen_by"] for row in rows}) > 1:
        raise DataError(f"leaderboard: rules were chosen by {' and by '.join(sorted(metrics))}; evaluate all by one")
    rows.sort(key=lambda row: (row["key"] is None, -(row["key"] or 0), row["model"]))
    folders = dict(zip(names, model_folders, strict=True))
    measured = _measure([folders[row["model"]] for row in rows], data_hashes)
    complete = [
        {"rank": rank, **row, **more} for rank, (row, more) in enumerate(zip(rows, measured, strict=True), start=1)
    ]
    return pl.DataFrame(complete, schema={**LEADERBOARD, "key": pl.Float64}).select(*LEADERBOARD)


def _measure(folders: Sequence[Path], data_hashes: Mapping[str, str] | None) -> list[dict[str, float | None]]:
    """Return of each model what its decisions say: intervals, how far it is behind the first, and distinct answers."""
    decisions = read_decisions(folders, data_hashes)
    resampled = resample(decisions.truth, decisions.decided).metrics
    jaccard = resampled["jaccard"]
    rows: list[dict[str, float | None]] = []
    for model, decided in enumerate(decisions.decided):
        row: dict[str, float | None] = {"distinct_answers": len(np.unique(decided, axis=0))}
        for column in INTERVALS:
            found = interval(resampled[column.removeprefix("test_")][model])
            row |= {f"{column}_low": defined(found.low), f"{column}_high": defined(found.high)}
        if model:
            row |= _behind(interval(jaccard[0] - jaccard[model]))
        rows.append(row)
    return rows


def _behind(difference: Interval) -> dict[str, float | None]:
    ends = (difference.value, difference.low, difference.high)
    return {name: defined(value) for name, value in zip(_BEHIND, ends, strict=True)}


def defined(value: float) -> float | None:
    """Return a figure; None for one that is undefined."""
    return float(value) if np.isfinite(value) else None


def _read_model(folder: Path) -> dict[str, Any]:
    metrics, fit = _read_json(folder / METRICS_FILE), _read_json(folder / FIT_FILE)
    rule, rules = metrics.get("chosen_rule"), metrics.get("rules")
    if not isinstance(rules, dict) or not isinstance(rules.get(rule), dict):
        raise DataError(
            f"{folder / METRICS_FILE}: expected the metrics of the chosen rule {rule!r} under 'rules'; "
            f"delete {folder} and evaluate the model again"
        )
    values = {column: _number(rules[rule], column.replace("_", "/", 1)) for column in _METRICS}
    costs = {column: _number(fit, column) for column in _COSTS}
    chosen_by = str(metrics.get("chosen_by", "jaccard"))
    key = _number(rules[rule], f"val/{chosen_by}")
    if key is not None and chosen_by in LOWER_IS_BETTER:
        key = -key
    return {"model": folder.name, "chosen_by": chosen_by, "rule": rule, **values, **costs, "key": key}


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: not there; train and evaluate the model, or leave it out") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); delete it and evaluate the model again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object, found {type(content).__name__}; evaluate the model again")
    return content


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return defined(value) if isinstance(value, int | float) else None
