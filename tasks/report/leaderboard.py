"""Tables of evaluated models: the leaderboard with its baseline, published results, cross-validations.

Models are ordered by the metric that chose their rules (Jaccard by default) on validation, never on test, which can
measure the chosen model only as long as it has no part in the choice.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.core.errors import DataError
from tasks.core.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    Labels,
    decision_metrics,
    in_groups,
    interval,
    mean_of_defined,
    movie_metrics,
    resample,
)
from tasks.core.page import escape_markdown, markdown_table
from tasks.core.predictions import read_decisions

ON_VALIDATION: Final = ("jaccard", "f1_macro")  # metrics that have a column for validation, too
# Column: its decimals. Column val_jaccard is metric val/jaccard.
_METRICS: Final = {
    **{f"val_{name}": METRICS[name].decimals for name in ON_VALIDATION},
    **{f"test_{name}": metric.decimals for name, metric in METRICS.items()},
}
INTERVALS: Final = ("test_jaccard", "test_f1_samples", "test_f1_micro", "test_f1_macro")
_ENDS: Final = {f"{column}_{end}": _METRICS[column] for column in INTERVALS for end in ("low", "high")}
_COSTS: Final = {"fit_s": 1, "predict_docs_per_s": 0, "model_memory_mb": 1, "model_mb": 1}
DECIMALS: Final = {**_METRICS, **_ENDS, "behind": 4, "behind_low": 4, "behind_high": 4, **_COSTS}
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
NOTHING: Final = "\N{EN DASH}"


def rank_models(model_folders: Sequence[Path], data_hashes: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Gather evaluated models into one table (`LEADERBOARD`), the best on validation first.

    The order is by the metric in `chosen_by`, models without it last, ties by name. A metric that is absent or
    undefined is null. `<metric>_low` and `<metric>_high` are 95% intervals by a bootstrap over test movies. `behind` is
    the first model's test Jaccard minus a model's, with its interval by the same bootstrap. `distinct_answers` is the
    number of different sets of genres that a model gives the test movies. `model_memory_mb` is the size of a model's
    arrays and vocabularies in memory. `data_hashes` by model name are for messages.

    Raises:
        DataError: no folder is given, two have one name, a file in one is missing or damaged, the models were not
            tested on the same movies, or their rules were chosen by different metrics.
    """
    if not model_folders:
        raise DataError("leaderboard: no evaluated model; expected at least one folder with metrics.json and fit.json")
    folders = {folder.name: folder for folder in model_folders}
    if len(folders) < len(model_folders):
        names = ", ".join(sorted(folder.name for folder in model_folders))
        raise DataError(f"leaderboard: two model folders have the same name among {names}")
    rows = [_read_model(folder) for folder in model_folders]
    if len(metrics := {row["chosen_by"] for row in rows}) > 1:
        raise DataError(f"leaderboard: rules were chosen by {' and by '.join(sorted(metrics))}; evaluate all by one")
    rows.sort(key=lambda row: (row["key"] is None, -(row["key"] or 0), row["model"]))
    decisions = read_decisions([folders[row["model"]] for row in rows], data_hashes)
    resampled = resample(decisions.truth, decisions.decided).metrics
    for model, (row, decided) in enumerate(zip(rows, decisions.decided, strict=True)):
        row.update(rank=model + 1, distinct_answers=len(np.unique(decided, axis=0)))
        for column in INTERVALS:
            found = interval(resampled[column.removeprefix("test_")][model])
            row.update({f"{column}_low": defined(found.low), f"{column}_high": defined(found.high)})
        if model:
            gap = interval(resampled["jaccard"][0] - resampled["jaccard"][model])
            row.update(
                zip(("behind", "behind_low", "behind_high"), map(defined, (gap.value, gap.low, gap.high)), strict=True)
            )
    return pl.DataFrame(rows, schema={**LEADERBOARD, "key": pl.Float64}).select(*LEADERBOARD)


@dataclass(frozen=True)
class Baseline:
    """The best constant answer: the metrics of predicting the same genres for every test movie."""

    genres: tuple[str, ...]
    metrics: Mapping[str, float]  # by column of the leaderboard


def best_constant(truth: Labels, genres: Sequence[str]) -> Baseline | None:
    """Return the constant answer with the highest Jaccard on (n_movies, n_genres) labels; None if no movie has a genre.

    It is found by adding the genre that helps most, as long as one helps.
    """
    answer, best = np.zeros(len(genres), dtype=bool), 0.0
    while not answer.all():
        wider = answer | np.eye(len(genres), dtype=bool)[~answer]
        scores = [mean_of_defined(movie_metrics(truth, np.tile(one, (len(truth), 1)))[:, 0]) for one in wider]
        if not np.max(scores, initial=0.0) > best:
            break
        answer, best = wider[int(np.argmax(scores))], max(scores)
    if not answer.any():
        return None
    metrics = decision_metrics(truth, np.tile(answer, (len(truth), 1)))
    named = tuple(genre for genre, is_in in zip(genres, answer, strict=True) if is_in)
    return Baseline(named, {f"test_{name}": value for name, value in metrics.items()})


def defined(value: float) -> float | None:
    """Return a value, or None if it is undefined."""
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
        raise DataError(f"{path}: not found; train and evaluate the model, or leave it out") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); delete it and evaluate the model again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object, found {type(content).__name__}; evaluate the model again")
    return content


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return defined(value) if isinstance(value, int | float) else None


# Source: all published results of the earlier research system: linear and neighbour models on a development split of
# about 17,000 movies ("linear"), logistic regressions on its full training set ("full"), and DistilBERT with three
# losses on about 17,000 rows and on the full set; samples-averaged unless a name says otherwise. A row names our model
# of the same method and, if it is not the chosen one, our rule. The test movies are not the same.
PUBLISHED: Final = Path(__file__).with_name("published.csv")
PUBLISHED_METRICS: Final = (
    *("jaccard", "at_least_one", "precision_samples", "recall_samples", "f1_samples", "hamming_loss", "exact_match"),
    *("at_least_two", "precision_micro", "precision_macro", "precision_weighted"),
    *("recall_micro", "recall_macro", "recall_weighted"),
)
_TEXTS: Final = ("table", "setting", "model", "rule")


def read_published() -> pl.DataFrame:
    """Return the published results, one row per model: `table`, `setting`, `model`, `rule`, `PUBLISHED_METRICS`."""
    schema = {**dict.fromkeys(_TEXTS, pl.String), **dict.fromkeys(PUBLISHED_METRICS, pl.Float64)}
    return pl.read_csv(PUBLISHED, schema_overrides=schema).select(*schema)


def compare_published(model_folders: Sequence[Path]) -> pl.DataFrame:
    """Return the published tables with at least one method that a model of ours uses, in their order.

    Columns: `table`, `setting`, `model`, `rule`, and for each of `PUBLISHED_METRICS` the published result and ours on
    test, under `published_<metric>` and `ours_<metric>`, null if not available.
    """
    folders = {folder.name: folder for folder in model_folders}
    published = read_published()
    tables = published.filter(pl.col("model").is_in(list(folders)))["table"].unique()
    rows = []
    for row in published.filter(pl.col("table").is_in(tables.to_list())).iter_rows(named=True):
        figures = {name: row[name] for name in _TEXTS}
        figures |= {f"published_{metric}": row[metric] for metric in PUBLISHED_METRICS}
        if folder := folders.get(row["model"]):
            evaluated = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
            rule = row["rule"] or evaluated["chosen_rule"]
            ours = evaluated["rules"].get(rule, {})
            figures |= {"rule": rule, **{f"ours_{metric}": ours.get(f"test/{metric}") for metric in PUBLISHED_METRICS}}
        else:
            figures |= {"model": None, "rule": None}
        rows.append(figures)
    columns = [f"{side}_{metric}" for metric in PUBLISHED_METRICS for side in ("published", "ours")]
    return pl.DataFrame(rows, schema={**dict.fromkeys(_TEXTS, pl.String), **dict.fromkeys(columns, pl.Float64)})


def render_published(compared: pl.DataFrame) -> str:
    """Return the tables as Markdown, published next to our results; metrics that a table lacks are left out."""
    parts = []
    for name in compared["table"].unique(maintain_order=True):
        rows = compared.filter(pl.col("table") == name)
        metrics = [metric for metric in PUBLISHED_METRICS if rows[f"published_{metric}"].count()]
        header = ["earlier system", "here", "rule", *(f"{title_of(metric)}: published / ours" for metric in metrics)]
        cells = [
            [escape_markdown(row[text] or NOTHING) for text in _TEXTS[1:]]
            + [" / ".join(written(row[f"{side}_{metric}"], 3) for side in ("published", "ours")) for metric in metrics]
            for row in rows.iter_rows(named=True)
        ]
        parts.append(markdown_table(header, cells, len(_TEXTS) - 1))
    return "\n".join(parts)


BEST_MARK: Final = "★"
TERMINAL_WIDTH: Final = 1000  # no limit: a wrapped name cannot be copied
_TERMINAL: Final = {
    "rank": "#",
    "model": "model",
    "rule": "rule",
    "val_jaccard": f"{METRICS['jaccard'].short} val",
    "test_jaccard": f"{METRICS['jaccard'].short} test",
    "behind": "gap",
    **{f"test_{name}": METRICS[name].short for name in ("f1_samples", "f1_macro", "at_least_one")},
    "fit_s": "fit s",
    "predict_docs_per_s": "movies/s",
    "model_memory_mb": "RAM MB",
    "model_mb": "disk MB",
}
_MARKDOWN: Final = {
    "Quality": (
        *(f"val_{name}" for name in ON_VALIDATION),
        *(f"test_{name}" for name in in_groups("leading", "main")),
        "behind",
    ),
    "Precision and recall": tuple(f"test_{name}" for name in in_groups("averages")),
    "More metrics": tuple(f"test_{name}" for name in in_groups("further")),
    "Cost": tuple(_COSTS),
}
_TITLES: Final = {
    **{name: metric.title for name, metric in METRICS.items()},
    "behind": "gap to best",
    "fit_s": "fit time (s)",
    "predict_docs_per_s": "movies scored per second",
    "model_memory_mb": "MB in memory",
    "model_mb": "MB on disk",
}


def title_of(column: str) -> str:
    """Return the readable name of a metric or a leaderboard's column.

    >>> title_of("test_at_least_one"), title_of("f1_macro"), title_of("test_ece_raw")
    ('test ≥ 1 correct', 'F1 (macro)', 'test calibration error')
    """
    part, _, metric = column.partition("_")
    if part in {"val", "test"}:
        return f"{part} {title_of(metric)}"
    return _TITLES.get(column, column.replace("_", " "))


def render_markdown(leaderboard: pl.DataFrame, baseline: Baseline | None = None) -> str:
    """Return the whole leaderboard as Markdown, one table per subject, the best in bold, intervals in brackets."""
    parts = ["# Leaderboard\n"]
    notes = [*notes_on(leaderboard, baseline), "In brackets: 95% intervals, by a bootstrap over test movies."]
    parts.append("".join(f"- {escape_markdown(note)}\n" for note in notes))
    for title, columns in _MARKDOWN.items():
        texts = ["model", "rule"] if title == "Quality" else ["model"]
        rows = []
        for row in leaderboard.iter_rows(named=True):
            cells = [str(row["rank"]), *(escape_markdown(str(row[text])) for text in texts)]
            cells += [_with_interval(row, column) for column in columns]
            rows.append([f"**{cell}**" for cell in cells] if row["rank"] == 1 else cells)
        table = markdown_table(["", *texts, *map(title_of, columns)], rows, 1 + len(texts))
        parts.append(f"## {title}\n\n{table}")
    return "\n".join(parts)


def _with_interval(row: Mapping[str, Any], column: str) -> str:
    text, low, high = (written(row.get(name), DECIMALS[column]) for name in (column, f"{column}_low", f"{column}_high"))
    return text if NOTHING in (low, high) else f"{text} \\[{low}, {high}\\]"


def render_terminal(leaderboard: pl.DataFrame, baseline: Baseline | None = None) -> str:
    """Return the most important columns as plain text; a star marks the best."""
    rows = []
    for row in leaderboard.iter_rows(named=True):
        cells = {column: written(row[column], min(DECIMALS.get(column, 0), 3)) for column in _TERMINAL}
        low, high = row["test_jaccard_low"], row["test_jaccard_high"]
        if low is not None and high is not None:
            cells["test_jaccard"] += f" ±{f'{(high - low) / 2:.3f}'.removeprefix('0')}"
        if row["rank"] == 1:
            cells["rank"] = BEST_MARK
        elif row["behind"] is not None and row["behind_low"] <= 0 <= row["behind_high"]:
            cells["behind"] += " ≈"
        rows.append(list(cells.values()))
    first, *others = notes_on(leaderboard, baseline)
    gap = (
        "gap: test Jaccard of the best minus this model's; ≈ not significant: its 95% interval, by a paired bootstrap, "
        "includes zero. ±: half the width of the 95% interval."
    )
    return "\n".join([_plain_table(list(_TERMINAL.values()), rows), f"{BEST_MARK} {first}", gap, *others])


def _plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text; the columns `model` and `rule` are aligned to the left."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for title in header:
        table.add_column(title, justify="left" if title in {"model", "rule"} else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: brackets in a name are no markup
    text = io.StringIO()
    Console(file=text, width=TERMINAL_WIDTH, color_system=None, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines() if line.strip())


def notes_on(leaderboard: pl.DataFrame, baseline: Baseline | None = None) -> list[str]:
    """Say how the best is chosen, and what readers should know about the values."""
    chosen_by = leaderboard["chosen_by"][0]
    notes = [f"best {title_of(chosen_by)} on validation. Other metrics are on the test movies."]
    if baseline:
        notes.append(
            f"baseline: always predicting {', '.join(baseline.genres)} has a test Jaccard of "
            f"{baseline.metrics['test_jaccard']:.3f}."
        )
    if undefined := int(leaderboard["test_undefined_genres"].max() or 0):  # type: ignore[arg-type]
        notes.append(f"{undefined} genre(s) have no test movie: undefined, and left out of macro averages.")
    if same := leaderboard.filter(pl.col("distinct_answers") == 1)["model"].to_list():
        notes.append(f"the same genres for every movie: {', '.join(same)}.")
    return notes


def written(value: Any, decimals: int) -> str:
    """Return a cell's readable text; a dash for what is undefined or unknown."""
    if value is None:
        return NOTHING
    return f"{value:,.{decimals}f}" if isinstance(value, float) else str(value)


_FOLD_METRICS: Final = in_groups("leading", "main")


def render_cross_validation(folders: Sequence[Path]) -> str:
    """Return the models' means and standard deviations over folds as plain text, the greatest mean Jaccard first.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = sorted(map(_read_folds, folders), key=lambda row: (-row["metrics"]["jaccard"]["mean"], row["model"]))
    cells = [
        [row["model"], row["rule"]]
        + [
            f"{found['mean']:.4f} ± {found['std']:.4f}" if (found := row["metrics"].get(metric)) else NOTHING
            for metric in _FOLD_METRICS
        ]
        + [f"{row['fit_s']:.1f}"]
        for row in rows
    ]
    table = _plain_table(["model", "rule", *map(title_of, _FOLD_METRICS), "fit s"], cells)
    return f"{table}\nmean ± standard deviation over folds; fit s: mean seconds per fold.\n"


def _read_folds(folder: Path) -> dict[str, Any]:
    try:
        metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        fit_s = json.loads((folder / FIT_FILE).read_text(encoding="utf-8"))["fit_s"]
        rule = metrics["chosen_rule"]
        return {"model": folder.name, "rule": rule, "metrics": metrics["rules"][rule], "fit_s": fit_s}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: missing or damaged results ({error!r}); cross-validate the model again") from error
