"""The leaderboard as text for people: in a terminal and in Markdown. Owns both forms; computes nothing."""

import io
from typing import Any, Final

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.markdown import escape, table
from tasks.report.leaderboard import DECIMALS, INTERVALS

BEST_MARK: Final = "★"
NOTHING: Final = "\N{EN DASH}"
TERMINAL_WIDTH: Final = 1000  # no limit: a name that is broken cannot be copied
METRIC_NAMES: Final = {"jaccard": "Jaccard (J)", "f1_macro": "macro F1"}

_TERMINAL: Final = {
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
    "model_memory_mb": "RAM MB",
    "model_mb": "disk MB",
}
_MARKDOWN: Final = {
    "How good": ("val_jaccard", *INTERVALS, "behind", "test_exact_match", "test_at_least_one", "test_at_least_two"),
    "Precision and recall": (
        *(
            f"test_{metric}_{mean}"
            for metric in ("precision", "recall")
            for mean in ("samples", "micro", "macro", "weighted")
        ),
        "test_f1_weighted",
    ),
    "Further metrics": (
        "val_f1_macro",
        "test_hamming_loss",
        "test_signed_overlap",
        "test_balanced_accuracy",
        "test_mean_average_precision",
        "test_coverage_error",
        "test_label_ranking_loss",
        "test_ece_raw",
        "test_ece_calibrated",
    ),
    "What it costs": ("fit_s", "predict_docs_per_s", "model_memory_mb", "model_mb"),
}
_TITLES: Final = {
    "predict_docs_per_s": "movies scored / s",
    "model_memory_mb": "MB in memory",
    "model_mb": "MB on disk",
    "fit_s": "s to fit",
    "behind": "less Jaccard than the first",
}


def render_markdown(leaderboard: pl.DataFrame) -> str:
    """Return the whole leaderboard as Markdown, one table a subject, the champion in bold, intervals in brackets."""
    parts: list[str] = []
    for title, columns in _MARKDOWN.items():
        names = [_TITLES.get(column, column.replace("_", " ")) for column in columns]
        header = ["", "model", *(["rule"] if not parts else []), *names]
        rows = []
        for row in leaderboard.iter_rows(named=True):
            texts = [row["model"], *([row["rule"]] if not parts else [])]
            cells = [str(row["rank"]), *(escape(str(text)) for text in texts)]
            cells += [_with_interval(row, column) for column in columns]
            rows.append([f"**{cell}**" for cell in cells] if row["rank"] == 1 else cells)
        parts.append(f"## {title}\n\n{table(header, rows, len(header) - len(columns))}")
    notes = "".join(f"- {escape(note)}\n" for note in notes_on(leaderboard))
    brackets = "- In brackets: 95 % intervals, by a bootstrap over test movies.\n"
    return "\n".join(["# Leaderboard\n", notes + brackets, *parts])


def render_terminal(leaderboard: pl.DataFrame) -> str:
    """Return the most telling columns as plain text; a star marks the best."""
    drawn = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column, title in _TERMINAL.items():
        drawn.add_column(title, justify="left" if column in {"model", "rule"} else "right", no_wrap=True)
    for row in leaderboard.iter_rows(named=True):
        cells = [written(column, row[column], decimals=_short_decimals(column)) for column in _TERMINAL]
        cells[list(_TERMINAL).index("test_jaccard")] += _half_width(row)
        if row["rank"] == 1:
            cells[0] = BEST_MARK
        elif row["behind"] is not None and row["behind_low"] <= 0 <= row["behind_high"]:
            cells[list(_TERMINAL).index("behind")] += " ≈"
        drawn.add_row(*(Text(cell) for cell in cells))  # Text: brackets in a name are no markup
    text = io.StringIO()
    Console(file=text, width=TERMINAL_WIDTH, color_system=None, legacy_windows=False).print(drawn)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    behind = (
        "behind: less test Jaccard than the best; ≈ the 95 % interval of the difference, by a paired bootstrap, holds "
        "zero. ±: half of the 95 % interval."
    )
    first, *others = notes_on(leaderboard)
    return "\n".join([*(line for line in lines if line), f"{BEST_MARK} {first}", behind, *others])


def notes_on(leaderboard: pl.DataFrame) -> list[str]:
    """Return in sentences what makes the best the best, and what a reader would miss in the figures."""
    metric = METRIC_NAMES.get(chosen_by := leaderboard["chosen_by"][0], chosen_by)
    notes = [f"best {metric} on validation. Other figures are of the test movies."]
    if undefined := int(leaderboard["test_undefined_genres"].max() or 0):  # type: ignore[arg-type]
        notes.append(f"{undefined} genre(s) have no test movie: undefined, and left out of macro figures.")
    same = leaderboard.filter(pl.col("distinct_answers") == 1)["model"].to_list()
    if same:
        notes.append(f"the same genres for every movie: {', '.join(same)}.")
    return notes


def written(column: str, value: Any, decimals: int | None = None) -> str:
    """Return a cell as people read it; a dash for what is undefined or unknown."""
    if value is None:
        return NOTHING
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.{DECIMALS[column] if decimals is None else decimals}f}"


def _with_interval(row: dict[str, Any], column: str) -> str:
    text = written(column, row[column])
    low, high = (row.get(f"{column}_{end}") for end in ("low", "high"))
    if low is None or high is None:
        return text
    return f"{text} \\[{written(column, low)}, {written(column, high)}\\]"


def _half_width(row: dict[str, Any]) -> str:
    low, high = row["test_jaccard_low"], row["test_jaccard_high"]
    return "" if low is None or high is None else f" ±{f'{(high - low) / 2:.3f}'.removeprefix('0')}"


def _short_decimals(column: str) -> int | None:
    return 3 if DECIMALS.get(column) == 4 else None
