"""The table of a cross-validation. Owns its columns and its order; computes no metric."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tasks.errors import DataError
from tasks.report.leaderboard import FIT_FILE, METRICS_FILE

COLUMNS: Final = {
    "jaccard": "Jaccard",
    "f1_samples": "F1 samples",
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "at_least_one": "≥ 1 right",
}


def render_cross_validation(folders: Sequence[Path]) -> str:
    """Return the models' means and standard deviations over folds as plain text, the greatest mean Jaccard first.

    Args:
        folders: of models, each with `metrics.json` as `tasks.evaluate.out_of_fold` writes it, and `fit.json`.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = sorted(
        (_read(folder) for folder in folders), key=lambda row: (-row["metrics"]["jaccard"]["mean"], row["model"])
    )
    cells = [["model", "rule", *COLUMNS.values(), "fit s"]]
    for row in rows:
        values = [_mean_and_spread(row["metrics"].get(metric)) for metric in COLUMNS]
        cells.append([row["model"], row["rule"], *values, f"{row['fit_s']:.1f}"])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    lines.insert(1, "─" * len(lines[0]))
    return "\n".join(
        [*(line.rstrip() for line in lines), "mean ± standard deviation over folds; fit s: mean seconds of a fold.", ""]
    )


def _read(folder: Path) -> dict[str, Any]:
    try:
        metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        fit_s = json.loads((folder / FIT_FILE).read_text(encoding="utf-8"))["fit_s"]
        rule = metrics["chosen_rule"]
        return {"model": folder.name, "rule": rule, "metrics": metrics["rules"][rule], "fit_s": fit_s}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: missing or damaged results ({error!r}); cross-validate the model again") from error


def _mean_and_spread(values: dict[str, Any] | None) -> str:
    return "–" if values is None else f"{values['mean']:.4f} ± {values['std']:.4f}"
