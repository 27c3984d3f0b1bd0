"""The table of a cross-validation. Owns its columns and its order; computes no metric."""

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

from tasks.core.errors import DataError
from tasks.core.markup import escape_markdown, markdown_table
from tasks.core.metrics import LOWER_IS_BETTER, METRICS, Interval, in_groups, interval, resample
from tasks.core.predictions import read_decisions

# The leaderboard of evaluated models. Owns its columns and its order; computes no metric but how sure one is.
#
# Models are ordered by the metric by which their rules were chosen (the Jaccard, unless told otherwise) on validation,
# never by the test: the test says how good the chosen one is, and it can say so only as long as it has no part in the
# choice.


ON_VALIDATION: Final = ("jaccard", "f1_macro")  # metrics that have a column for validation, too
# Column: how many decimals people see. Its value is the metric of the same name: val_jaccard is val/jaccard.
_METRICS: Final = {
    **{f"val_{name}": METRICS[name].decimals for name in ON_VALIDATION},
    **{f"test_{name}": metric.decimals for name, metric in METRICS.items()},
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


# The earlier system's published figures beside ours. Owns the figures and which model of ours does the same work.
#
# Source: the published results of the earlier research system, all of them, as carried in `published.csv`: linear and
# neighbour models on a development split of about 17,000 movies ("linear"), logistic regressions on its full training
# set ("full"), and DistilBERT with three losses on about 17,000 rows and on the full set, on the Kaggle set,
# samples-averaged where a name does not say otherwise. Ours are on the data at hand, so that the two sides share the
# work and not the movies. A row names our model and, where it is not the chosen one, our rule; what we do not do has no
# model.


PUBLISHED: Final = Path(__file__).with_name("published.csv")
PUBLISHED_METRICS: Final = (
    "jaccard", "at_least_one", "precision_samples", "recall_samples", "f1_samples", "hamming_loss", "exact_match",
    "at_least_two", "precision_micro", "precision_macro", "precision_weighted", "recall_micro", "recall_macro",
    "recall_weighted",
)  # fmt: skip
_TEXTS: Final = ("table", "setting", "model", "rule")


def read_published() -> pl.DataFrame:
    """Return the published figures, one row per model: `table`, `setting`, `model`, `rule`, `PUBLISHED_METRICS`."""
    schema = {**dict.fromkeys(_TEXTS, pl.String), **dict.fromkeys(PUBLISHED_METRICS, pl.Float64)}
    return pl.read_csv(PUBLISHED, schema_overrides=schema).select(*schema)


def beside_published(model_folders: Sequence[Path]) -> pl.DataFrame:
    """Return the published tables of which at least one model of ours does the work, in their order.

    Columns: `table`, `setting`, `model`, `rule`, and for each of `PUBLISHED_METRICS` the published figure and ours on
    test, under `published_<metric>` and `ours_<metric>`. What was not published, or is not ours, is null.
    """
    folders = {folder.name: folder for folder in model_folders}
    published = read_published()
    tables = published.filter(pl.col("model").is_in(list(folders)))["table"].unique()
    rows = [
        {**{name: row[name] for name in _TEXTS}, **_figures(row, folders.get(row["model"]))}
        for row in published.filter(pl.col("table").is_in(tables.to_list())).iter_rows(named=True)
    ]
    figures = [f"{side}_{metric}" for metric in PUBLISHED_METRICS for side in ("published", "ours")]
    return pl.DataFrame(rows, schema={**dict.fromkeys(_TEXTS, pl.String), **dict.fromkeys(figures, pl.Float64)})


def render_published(beside: pl.DataFrame) -> str:
    """Return the tables in Markdown, published and ours beside each other; metrics that a table lacks are left out."""
    parts = []
    for name in beside["table"].unique(maintain_order=True):
        rows = beside.filter(pl.col("table") == name)
        metrics = [metric for metric in PUBLISHED_METRICS if rows[f"published_{metric}"].count()]
        header = [
            "earlier system",
            "here",
            "rule",
            *(f"{METRICS[metric].title}: published / ours" for metric in metrics),
        ]
        cells = [
            [
                *(escape_markdown(row[text] or "\N{EN DASH}") for text in _TEXTS[1:]),
                *(_pair(row, metric) for metric in metrics),
            ]
            for row in rows.iter_rows(named=True)
        ]
        parts.append(markdown_table(header, cells, len(_TEXTS) - 1))
    return "\n".join(parts)


def _figures(published: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    figures = {f"published_{metric}": published[metric] for metric in PUBLISHED_METRICS}
    if folder is None:
        return {**figures, "model": None, "rule": None}
    evaluated = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rule = published["rule"] or evaluated["chosen_rule"]
    ours = evaluated["rules"].get(rule, {})
    return {"rule": rule, **figures, **{f"ours_{metric}": ours.get(f"test/{metric}") for metric in PUBLISHED_METRICS}}


def _pair(row: Mapping[str, Any], metric: str) -> str:
    return " / ".join(_written(row[f"{side}_{metric}"]) for side in ("published", "ours"))


def _written(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


BEST_MARK: Final = "★"
NOTHING: Final = "\N{EN DASH}"
TERMINAL_WIDTH: Final = 1000  # no limit: a name that is broken cannot be copied

_TERMINAL: Final = {
    "rank": "#",
    "model": "model",
    "rule": "rule",
    "val_jaccard": f"{METRICS['jaccard'].short} val",
    "test_jaccard": f"{METRICS['jaccard'].short} test",
    "behind": "behind",
    **{f"test_{name}": METRICS[name].short for name in ("f1_samples", "f1_macro", "at_least_one")},
    "fit_s": "fit s",
    "predict_docs_per_s": "docs/s",
    "model_memory_mb": "RAM MB",
    "model_mb": "disk MB",
}
_MARKDOWN: Final = {
    "How good": (
        *(f"val_{name}" for name in ON_VALIDATION),
        *(f"test_{name}" for name in in_groups("leading", "main")),
        "behind",
    ),
    "Precision and recall": tuple(f"test_{name}" for name in in_groups("averages")),
    "Further metrics": tuple(f"test_{name}" for name in in_groups("further")),
    "What it costs": ("fit_s", "predict_docs_per_s", "model_memory_mb", "model_mb"),
}
_TITLES: Final = {
    **{f"val_{name}": f"{METRICS[name].title} on validation" for name in ON_VALIDATION},
    **{f"test_{name}": metric.title for name, metric in METRICS.items()},
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
        names = [_TITLES[column] for column in columns]
        header = ["", "model", *(["rule"] if not parts else []), *names]
        rows = []
        for row in leaderboard.iter_rows(named=True):
            texts = [row["model"], *([row["rule"]] if not parts else [])]
            cells = [str(row["rank"]), *(escape_markdown(str(text)) for text in texts)]
            cells += [_with_interval(row, column) for column in columns]
            rows.append([f"**{cell}**" for cell in cells] if row["rank"] == 1 else cells)
        parts.append(f"## {title}\n\n{markdown_table(header, rows, len(header) - len(columns))}")
    notes = "".join(f"- {escape_markdown(note)}\n" for note in notes_on(leaderboard))
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
        "J: Jaccard; behind: gap in test Jaccard to the best; ≈ not significantly different (95% interval of a paired "
        "bootstrap). ±: half of the 95% interval."
    )
    first, *others = notes_on(leaderboard)
    return "\n".join([*(line for line in lines if line), f"{BEST_MARK} {first}", behind, *others])


def notes_on(leaderboard: pl.DataFrame) -> list[str]:
    """Return in sentences what makes the best the best, and what a reader would miss in the figures."""
    notes = [f"best {METRICS[leaderboard['chosen_by'][0]].title} on validation. Other figures are of the test movies."]
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


COLUMNS: Final = in_groups("leading", "main")


def render_cross_validation(folders: Sequence[Path]) -> str:
    """Return the models' means and standard deviations over folds as plain text, the greatest mean Jaccard first.

    Args:
        folders: of models, each with `metrics.json` as `tasks.evaluate.evaluation` writes it, and `fit.json`.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = sorted(
        (_read(folder) for folder in folders), key=lambda row: (-row["metrics"]["jaccard"]["mean"], row["model"])
    )
    cells = [["model", "rule", *(METRICS[name].title for name in COLUMNS), "fit s"]]
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
