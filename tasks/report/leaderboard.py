"""The leaderboard of evaluated models. Owns its columns, its order and its forms; computes no metric.

Models are ordered by the metric by which their rules were chosen (the Jaccard, unless told otherwise) on validation,
never by the test: the test says how good the chosen one is, and it can say so only as long as it has no part in the
choice.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.errors import DataError
from tasks.report.bootstrap import paired_differences

# Column: where its value is, and how many decimals people see.
_METRICS: Final = {
    "val_jaccard": ("val/jaccard", 4),
    "val_f1_macro": ("val/f1_macro", 4),
    "test_jaccard": ("test/jaccard", 4),
    "test_f1_samples": ("test/f1_samples", 4),
    "test_f1_micro": ("test/f1_micro", 4),
    "test_f1_macro": ("test/f1_macro", 4),
    "test_precision_samples": ("test/precision_samples", 4),
    "test_recall_samples": ("test/recall_samples", 4),
    "test_hamming_loss": ("test/hamming_loss", 4),
    "test_exact_match": ("test/exact_match", 4),
    "test_at_least_one": ("test/at_least_one", 4),
    "test_at_least_two": ("test/at_least_two", 4),
}
_COSTS: Final = {"fit_s": 1, "predict_docs_per_s": 0, "model_mb": 1}
_BEHIND: Final = {"behind": 4, "behind_low": 4, "behind_high": 4}
_DECIMALS: Final = {**{column: decimals for column, (_, decimals) in _METRICS.items()}, **_BEHIND, **_COSTS}

LEADERBOARD: Final = pl.Schema(
    {
        "rank": pl.Int64,
        "model": pl.String,
        "chosen_by": pl.String,
        "rule": pl.String,
        **dict.fromkeys(_DECIMALS, pl.Float64),
    }
)
METRICS_FILE, FIT_FILE, PREDICTIONS_FILE = "metrics.json", "fit.json", "predictions_test.parquet"
CHAMPION_MARK: Final = "★"
TERMINAL_WIDTH: Final = 1000  # no limit: a name that is broken cannot be copied

_TERMINAL_COLUMNS: Final = {
    "rank": "#",
    "model": "model",
    "rule": "rule",
    "val_jaccard": "J val",
    "test_jaccard": "J test",
    "behind": "behind",
    "test_f1_samples": "F1 smp",
    "test_f1_macro": "F1 mac",
    "test_at_least_one": "≥ 1",
    "fit_s": "fit s",
    "predict_docs_per_s": "docs/s",
    "model_mb": "MB",
}


def rank_models(model_folders: Sequence[Path]) -> pl.DataFrame:
    """Gather evaluated models into one table (`LEADERBOARD`), the best on validation first.

    The best by the metric that `chosen_by` names. A metric that is absent or undefined is null; a model without the one
    that decides comes last. Equal models are ordered by name. `behind` is how much less test Jaccard a model has than
    the first one, on the movies where both have one, with its 95 % interval by a paired bootstrap.

    Raises:
        DataError: no folder is given, two have one name, a file in one is missing or damaged, the models were not
            tested on the same movies, or their rules were chosen by different metrics.
    """
    if not model_folders:
        raise DataError("leaderboard: no evaluated model; expected at least one folder with metrics.json and fit.json")
    names = [folder.name for folder in model_folders]
    if len(set(names)) < len(names):
        raise DataError(f"leaderboard: two model folders have the same name among {', '.join(sorted(names))}")
    folders = dict(zip(names, model_folders, strict=True))
    rows = [_read_model(folder) for folder in model_folders]
    schema = {name: kind for name, kind in LEADERBOARD.items() if name != "rank" and name not in _BEHIND}
    if len(metrics := {row["chosen_by"] for row in rows}) > 1:
        raise DataError(f"leaderboard: rules were chosen by {' and by '.join(sorted(metrics))}; evaluate all by one")
    ordered = pl.DataFrame(rows, schema={**schema, "key": pl.Float64}).sort(
        "key", "model", descending=[True, False], nulls_last=True, maintain_order=True
    )
    differences = _behind_first([folders[name] for name in ordered["model"]])
    behind = pl.DataFrame(differences, schema=dict.fromkeys(_BEHIND, pl.Float64), orient="row")
    ranked = ordered.with_columns(behind).with_row_index("rank", offset=1)
    return ranked.select(pl.col(name).cast(kind) for name, kind in LEADERBOARD.items())


def _behind_first(folders: Sequence[Path]) -> list[tuple[float | None, ...]]:
    jaccard = [_read_jaccard(folder / PREDICTIONS_FILE) for folder in folders]
    for folder, own in zip(folders, jaccard, strict=True):
        if not own["movie_id"].equals(jaccard[0]["movie_id"]):
            raise DataError(
                f"{folder / PREDICTIONS_FILE} and {folders[0] / PREDICTIONS_FILE} are not of the same test movies; "
                "train both on the same split"
            )
    values = np.stack([own["jaccard"].to_numpy() for own in jaccard])
    defined = values[:, np.isfinite(values).all(axis=0)]
    if not defined.size:
        return [(None, None, None)] * len(folders)
    differences = paired_differences(defined[0], defined[1:])
    return [(None, None, None), *((each.mean, each.low, each.high) for each in differences)]


def _read_jaccard(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(path, columns=["movie_id", "jaccard"], glob=False)
        return table.with_columns(pl.col("jaccard").cast(pl.Float64))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); evaluate the model again") from error


def render_markdown(leaderboard: pl.DataFrame) -> str:
    """Return the whole leaderboard as a Markdown table, the champion in bold."""
    alignment = ["---" if kind == pl.String else "---:" for kind in leaderboard.dtypes]
    lines = [" | ".join(leaderboard.columns), " | ".join(alignment)]
    for row in leaderboard.iter_rows(named=True):
        cells = [_written(column, value).replace("|", "\\|") for column, value in row.items()]
        lines.append(" | ".join(f"**{cell}**" if row["rank"] == 1 and cell else cell for cell in cells))
    return "".join(f"| {line} |\n" for line in lines)


def render_terminal(leaderboard: pl.DataFrame) -> str:
    """Return the most telling columns as plain text; a star marks the champion."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column, title in _TERMINAL_COLUMNS.items():
        is_text = column in {"model", "rule"}
        table.add_column(title, justify="left" if is_text else "right", no_wrap=True)
    for row in leaderboard.iter_rows(named=True):
        cells = [_written(column, row[column], decimals=_short_decimals(column)) for column in _TERMINAL_COLUMNS]
        if row["rank"] == 1:
            cells[0] = CHAMPION_MARK
        elif row["behind"] is not None and row["behind_low"] <= 0 <= row["behind_high"]:
            cells[list(_TERMINAL_COLUMNS).index("behind")] += " ≈"
        table.add_row(*(Text(cell) for cell in cells))  # Text: brackets in a name are no markup
    text = io.StringIO()
    Console(file=text, width=TERMINAL_WIDTH, color_system=None, legacy_windows=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    metric = {"jaccard": "Jaccard (J)", "f1_macro": "macro F1"}.get(chosen_by := leaderboard["chosen_by"][0], chosen_by)
    notes = [
        f"{CHAMPION_MARK} champion: best {metric} on validation. Other figures are of the test movies.",
        "behind: less test Jaccard than the champion; ≈ its 95 % interval (paired bootstrap) holds zero.",
    ]
    return "\n".join([*(line for line in lines if line), *notes])


def _read_model(folder: Path) -> dict[str, Any]:
    metrics, fit = _read_json(folder / METRICS_FILE), _read_json(folder / FIT_FILE)
    rule, rules = metrics.get("chosen_rule"), metrics.get("rules")
    if not isinstance(rules, dict) or not isinstance(rules.get(rule), dict):
        raise DataError(
            f"{folder / METRICS_FILE}: expected the metrics of the chosen rule {rule!r} under 'rules'; "
            f"delete {folder} and evaluate the model again"
        )
    values = {column: _number(rules[rule], key) for column, (key, _) in _METRICS.items()}
    costs = {column: _number(fit, column) for column in _COSTS}
    chosen_by = str(metrics.get("chosen_by", "jaccard"))
    key = _number(rules[rule], f"val/{chosen_by}")
    if key is not None and chosen_by == "hamming_loss":
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
    is_number = isinstance(value, int | float) and value == value  # noqa: PLR0124  NaN is undefined
    return float(value) if is_number and value is not None else None


def _written(column: str, value: Any, decimals: int | None = None) -> str:
    if value is None:
        return "\N{EN DASH}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.{_DECIMALS[column] if decimals is None else decimals}f}"


def _short_decimals(column: str) -> int | None:
    return 3 if _DECIMALS.get(column) == 4 else None
