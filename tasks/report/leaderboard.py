"""Tables of evaluated models: the leaderboard with its baseline, published results, cross-validations.

Models are ordered by the metric that chose their rules (Jaccard by default) on validation, never on test, which can
measure the chosen model only as long as it has no part in the choice.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.core.errors import DataError
from tasks.core.figures import SVG_ONLY, Form, picture_files, write_picture
from tasks.core.files import hash_file
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
from tasks.core.page import escape_markdown, markdown_table, write_safe_csv
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, read_decisions
from tasks.report.figures import RATE, draw_leaderboard, draw_pareto
from tasks.stage import Stage, StageResult, run_stage

ON_VALIDATION: Final = ("jaccard", "f1_macro")  # metrics that have a column for validation, too
# Column: its decimals. Column val_jaccard is metric val/jaccard.
_METRICS: Final = {
    **{f"val_{name}": METRICS[name].decimals for name in ON_VALIDATION},
    **{f"test_{name}": metric.decimals for name, metric in METRICS.items()},
}
INTERVALS: Final = ("test_jaccard", "test_f1_samples", "test_f1_micro", "test_f1_macro")
_ENDS: Final = {f"{column}_{end}": _METRICS[column] for column in INTERVALS for end in ("low", "high")}
_COSTS: Final = {"fit_s": 1, RATE: 0, "model_memory_mb": 1, "model_mb": 1}
DECIMALS: Final = {**_METRICS, **_ENDS, "behind": 4, "behind_low": 4, "behind_high": 4, **_COSTS}
_TYPES: Final = {"rank": pl.Int64, **dict.fromkeys(("model", "chosen_by", "rule"), pl.String)}
LEADERBOARD: Final = pl.Schema({**_TYPES, **dict.fromkeys(DECIMALS, pl.Float64), "distinct_answers": pl.Int64})
METRICS_FILE, FIT_FILE = "metrics.json", "fit.json"
NOTHING: Final = "\N{EN DASH}"


def rank_models(model_folders: Sequence[Path], data_hashes: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Gather evaluated models into one table (`LEADERBOARD`), the best on validation first.

    The order is by the metric in `chosen_by`, models without it last, ties by name. A metric that is absent or
    undefined is null. `<metric>_low` and `<metric>_high` are 95% intervals by a bootstrap over test movies. `behind` is
    the first model's test Jaccard minus a model's, with its interval. `distinct_answers` is the number of different
    sets of genres that a model gives the test movies. `data_hashes` by model name are for messages.

    Raises:
        DataError: no folder is given, two have one name, a file in one is missing or damaged, the models were not
            tested on the same movies, or their rules were chosen by different metrics.
    """
    if not model_folders:
        raise DataError("leaderboard: no evaluated model; expected at least one folder with metrics.json and fit.json")
    folders, names = {folder.name: folder for folder in model_folders}, sorted(each.name for each in model_folders)
    if len(folders) < len(names):
        raise DataError(f"leaderboard: two model folders have the same name among {', '.join(names)}")
    rows = [_read_model(folder) for folder in model_folders]
    if len(metrics := {row["chosen_by"] for row in rows}) > 1:
        raise DataError(f"leaderboard: rules were chosen by {' and by '.join(sorted(metrics))}; evaluate all by one")
    rows.sort(key=lambda row: (row["key"] is None, -(row["key"] or 0), row["model"]))
    decisions = read_decisions([folders[row["model"]] for row in rows], data_hashes)
    resampled = resample(decisions.truth, decisions.decided).metrics
    for model, (row, decided) in enumerate(zip(rows, decisions.decided, strict=True)):
        row.update(rank=model + 1, distinct_answers=len(np.unique(decided, axis=0)))
        found = {column: interval(resampled[column.removeprefix("test_")][model]) for column in INTERVALS}
        if model:
            found["behind"] = interval(resampled["jaccard"][0] - resampled["jaccard"][model])
            row["behind"] = defined(found["behind"].value)
        for column, each in found.items():
            row.update({f"{column}_low": defined(each.low), f"{column}_high": defined(each.high)})
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
    return Baseline(tuple(compress(genres, answer)), {f"test_{name}": value for name, value in metrics.items()})


def defined(value: float) -> float | None:
    """Return a value, or None if it is undefined."""
    return float(value) if np.isfinite(value) else None


def _read_model(folder: Path) -> dict[str, Any]:
    files = (folder / METRICS_FILE, folder / FIT_FILE)
    if missing := [path for path in files if not path.is_file()]:
        raise DataError(f"{missing[0]}: not found; train and evaluate the model, or leave it out")
    metrics, fit = map(read_json, files)
    rule, rules = metrics.get("chosen_rule"), metrics.get("rules")
    if not isinstance(rules, dict) or not isinstance(rules.get(rule), dict):
        raise DataError(
            f"{folder / METRICS_FILE}: expected the metrics of the chosen rule {rule!r} under 'rules'; "
            f"delete {folder} and evaluate the model again"
        )
    chosen_by = str(metrics.get("chosen_by", "jaccard"))
    row = {column: _number(rules[rule], column.replace("_", "/", 1)) for column in _METRICS}
    row |= {column: _number(fit, column) for column in _COSTS}
    key = _number(rules[rule], f"val/{chosen_by}")
    key = -key if key is not None and chosen_by in LOWER_IS_BETTER else key
    return {"model": folder.name, "chosen_by": chosen_by, "rule": rule, **row, "key": key}


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if there is no file, a DataError if it holds something else."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and run the stage that makes it again") from error


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
    published, is_ours = read_published(), pl.col("model").is_in(list(folders))
    rows = []
    for row in published.filter(is_ours.any().over("table")).iter_rows(named=True):
        figures = {name: row[name] for name in _TEXTS} | {"model": None, "rule": None}
        figures |= {f"published_{metric}": row[metric] for metric in PUBLISHED_METRICS}
        if folder := folders.get(row["model"]):
            evaluated = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
            rule = row["rule"] or evaluated["chosen_rule"]
            ours = evaluated["rules"].get(rule, {})
            figures |= {"model": row["model"], "rule": rule}
            figures |= {f"ours_{metric}": ours.get(f"test/{metric}") for metric in PUBLISHED_METRICS}
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
    RATE: "movies/s",
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
    RATE: "movies scored per second",
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
    notes = [*notes_on(leaderboard, baseline), "In brackets: 95% intervals, by a bootstrap over test movies."]
    parts = ["# Leaderboard\n", "".join(f"- {escape_markdown(note)}\n" for note in notes)]
    for title, columns in _MARKDOWN.items():
        texts = ["model", "rule"] if title == "Quality" else ["model"]
        rows = []
        for row in leaderboard.iter_rows(named=True):
            cells = [str(row["rank"]), *(escape_markdown(str(row[text])) for text in texts)]
            for column in columns:
                ends = (column, f"{column}_low", f"{column}_high")
                cell, low, high = (written(row.get(name), DECIMALS[column]) for name in ends)
                cells.append(cell if NOTHING in (low, high) else f"{cell} \\[{low}, {high}\\]")
            rows.append([f"**{cell}**" for cell in cells] if row["rank"] == 1 else cells)
        table = markdown_table(["", *texts, *map(title_of, columns)], rows, 1 + len(texts))
        parts.append(f"## {title}\n\n{table}")
    return "\n".join(parts)


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
        genres, jaccard = ", ".join(baseline.genres), baseline.metrics["test_jaccard"]
        notes.append(f"baseline: always predicting {genres} has a test Jaccard of {jaccard:.3f}.")
    if undefined := int(leaderboard["test_undefined_genres"].max() or 0):  # type: ignore[arg-type]
        notes.append(f"{undefined} genre(s) have no test movie: undefined, and left out of macro averages.")
    if same := leaderboard.filter(pl.col("distinct_answers") == 1)["model"].to_list():
        notes.append(f"the same genres for every movie: {', '.join(same)}.")
    return notes


def written(value: Any, decimals: int) -> str:
    """Return a cell's readable text; a dash for what is undefined or unknown."""
    return NOTHING if value is None else f"{value:,.{decimals}f}" if isinstance(value, float) else str(value)


_FOLD_METRICS: Final = in_groups("leading", "main")


def render_cross_validation(folders: Sequence[Path]) -> str:
    """Return the models' means and standard deviations over folds as plain text, the greatest mean Jaccard first."""
    rows = []
    for folder in folders:
        try:
            metrics, fit = (json.loads((folder / file).read_bytes()) for file in (METRICS_FILE, FIT_FILE))
            found = metrics["rules"][metrics["chosen_rule"]]
            rows.append((-found["jaccard"]["mean"], folder.name, metrics["chosen_rule"], found, fit["fit_s"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{folder}: missing or damaged results ({error!r}); cross-validate the model again"
            raise DataError(message) from error
    cells = []
    for _, model, rule, found, fit_s in sorted(rows, key=itemgetter(0, 1)):
        known = [found.get(metric) for metric in _FOLD_METRICS]
        texts = [f"{each['mean']:.4f} ± {each['std']:.4f}" if each else NOTHING for each in known]
        cells.append([model, rule, *texts, f"{fit_s:.1f}"])
    table = _plain_table(["model", "rule", *map(title_of, _FOLD_METRICS), "fit s"], cells)
    return f"{table}\nmean ± standard deviation over folds; fit s: mean seconds per fold.\n"


def write_leaderboard(
    model_folders: Sequence[Path],
    results_folder: Path,
    data_hashes: Mapping[str, str] | None = None,
    forms: Sequence[Form] = SVG_ONLY,
) -> StageResult:
    """Write the leaderboard of the given models as CSV, Markdown, text and pictures; the counts have their order.

    Models are compared in `published.md` with results that the earlier system published for their methods.

    Raises:
        DataError: as `rank_models`.
    """
    leaderboard = rank_models(model_folders, data_hashes)
    names = (METRICS_FILE, FIT_FILE, PREDICTIONS_FILE, RULES_FILE)
    files = [folder / name for folder in model_folders for name in names]
    # Inputs are known by file name, which is the same in every folder: so their contents go into the config.
    contents = {f"{path.parent.name}/{path.name}": hash_file(path) for path in files}
    decisions = read_decisions([model_folders[0]])
    published, baseline = compare_published(model_folders), best_constant(decisions.truth, decisions.genres)
    tables = ("leaderboard.csv", "leaderboard.md", "leaderboard.txt", *(["published.md"] if published.height else []))
    outputs = (*tables, *picture_files(["leaderboard", "pareto"], forms))
    constant = (baseline.genres, baseline.metrics["test_jaccard"]) if baseline else None
    config, code, packages = {"models": contents}, (Path(__file__),), ("adjusttext", "matplotlib", "polars")
    stage = Stage("leaderboard", results_folder, outputs, (PUBLISHED,), config, code, packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        write_safe_csv(leaderboard, folder / "leaderboard.csv")
        (folder / "leaderboard.md").write_text(render_markdown(leaderboard, baseline), encoding="utf-8")
        (folder / "leaderboard.txt").write_text(render_terminal(leaderboard, baseline) + "\n", encoding="utf-8")
        write_picture(folder, "leaderboard", partial(draw_leaderboard, leaderboard, constant), forms)
        write_picture(folder, "pareto", partial(draw_pareto, leaderboard), forms)
        if published.height:
            (folder / "published.md").write_text(render_published(published), encoding="utf-8")
        return {"models": leaderboard.height, "order": leaderboard["model"].to_list()}

    return run_stage(stage, build)
