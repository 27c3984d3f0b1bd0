"""The card of a registered model version, as the description that MLflow shows. Owns its wording."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
from mlflow.entities import Run

from tasks.markdown import escape, table
from tasks.tracking.last_run import LoggedModel

LONGEST: Final = 4900  # MLflow keeps 5,000 characters of a version's description
FEW: Final = 10  # rows of test; an F1 on fewer says little
HEADER: Final = ("label", "test rows", "precision", "recall", "F1")
FIGURES: Final = {
    "jaccard": "Jaccard (mean over rows)",
    "f1_samples": "F1 (mean over rows)",
    "f1_micro": "F1, micro",
    "f1_macro": "F1, macro",
    "exact_match": "Exact match",
    "at_least_one": "At least one label right",
}


def write_card(run: Run, model: LoggedModel, leaderboard: Path, registered: str, version: int) -> str:
    """Return a version's card in Markdown: data, figures with intervals, each label, limits, how to call it.

    Args:
        run: the MLflow run that trained the model.
        model: which was evaluated, so that its folder has `metrics.json` and `per_genre.csv`.
        leaderboard: `leaderboard.csv`, which has the intervals.
        registered: name of the registered model.
        version: of it.
    """
    evaluated = json.loads((model.folder / "metrics.json").read_text(encoding="utf-8"))
    values = evaluated["rules"][evaluated["chosen_rule"]]
    labels = pl.read_csv(model.folder / "per_genre.csv", columns=["genre", "support", "precision", "recall", "f1"])
    ranked = pl.read_csv(leaderboard, schema_overrides={"model": pl.String}).filter(pl.col("model") == model.name)
    row = ranked.row(0, named=True) if ranked.height else {}
    origin = (
        f"**{escape(model.name)}**, {_origin(run, model.data_hash)}. Decision rule: {evaluated['chosen_rule']}, chosen "
        f"on validation by {evaluated['chosen_by']}."
    )
    figures = [_figure(name, title, values, row) for name, title in FIGURES.items() if f"test/{name}" in values]
    shown = "On test, which no choice has seen:\n\n" + table(("metric", "value", "95 % interval"), figures)
    uri = f"models:/{registered}/{version}"
    call = (
        f'```python\nimport mlflow, pandas as pd\n\nmodel = mlflow.pyfunc.load_model("{uri}")\n'
        'model.predict(pd.DataFrame({"description": ["A nurse hears voices in an abandoned ward."]}))\n```'
    )
    described = "\n\n".join([origin, shown, _limits(labels), call])
    return f"{described}\n\n{_labels(labels, LONGEST - len(described) - 200)}"


def _origin(run: Run, data_hash: str) -> str:
    """Return on what, when and with which code a model was trained."""
    tags, inputs = run.data.tags, run.inputs.dataset_inputs if run.inputs else []
    rows = [(json.loads(each.dataset.profile or "{}").get("num_rows", 0), each.tags[0].value) for each in inputs]
    sizes = f" ({', '.join(f'{count:,} {part}' for count, part in rows)})" if rows else ""
    day = datetime.fromtimestamp(run.info.start_time / 1000, UTC).date()
    source, code = tags.get("genreflow.source", "unknown"), tags.get("genreflow.git_revision", "unknown")[:12]
    return f"trained on {day} on source {escape(source)}, data {data_hash}{sizes}, code {code}"


def _figure(name: str, title: str, values: dict[str, float], row: dict[str, Any]) -> tuple[str, str, str]:
    low, high = row.get(f"test_{name}_low"), row.get(f"test_{name}_high")
    interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
    return title, f"{values[f'test/{name}']:.3f}", interval


def _limits(labels: pl.DataFrame) -> str:
    few = [escape(str(label)) for label in labels.filter(pl.col("support") < FEW).get_column("genre")]
    named = f"{', '.join(few[:FEW])} and {len(few) - FEW} more" if len(few) > FEW else ", ".join(few)
    said = f" Fewer than {FEW} test rows, so little is known of them: {named}." if few else ""
    return f"Limits: the figures hold for rows of the same source; a model that reads fields does worse without.{said}"


def _labels(labels: pl.DataFrame, room: int) -> str:
    """Return the table of the labels, those with most test rows first, as many as there is room for."""
    rows: list[tuple[str, ...]] = []
    for label, support, *metrics in labels.sort("support", "genre", descending=[True, False]).iter_rows():
        shown = [f"{value:.2f}" if value is not None else "–" for value in metrics]
        row = (escape(str(label)), str(support), *shown)
        if len(table(HEADER, [*rows, row])) > room:
            return table(HEADER, rows) + f"\n{labels.height - len(rows)} more labels in the run's `per_genre.csv`."
        rows.append(row)
    return table(HEADER, rows)
