"""The earlier system's published figures beside ours. Owns the figures and which model of ours does the same work.

Source: the published results of the earlier research system, all of them, as carried in `published.csv`: linear and
neighbour models on a development split of about 17,000 movies ("linear"), logistic regressions on its full training set
("full"), and DistilBERT with three losses on about 17,000 rows and on the full set, on the Kaggle set, samples-averaged
where a name does not say otherwise. Ours are on the data at hand, so that the two sides share the work and not the
movies. A row names our model and, where it is not the chosen one, our rule; what we do not do has no model.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from tasks.markdown import escape, table

PUBLISHED: Final = Path(__file__).with_name("published.csv")
TITLES: Final = {
    "jaccard": "Jaccard",
    "at_least_one": "at least one",
    "precision_samples": "precision",
    "recall_samples": "recall",
    "f1_samples": "F1",
    "hamming_loss": "Hamming loss",
    "exact_match": "exact match",
    "at_least_two": "at least two",
    "precision_micro": "precision micro",
    "precision_macro": "precision macro",
    "precision_weighted": "precision weighted",
    "recall_micro": "recall micro",
    "recall_macro": "recall macro",
    "recall_weighted": "recall weighted",
}
METRICS: Final = tuple(TITLES)
_TEXTS: Final = ("table", "setting", "model", "rule")


def read_published() -> pl.DataFrame:
    """Return the published figures, one row a model: `table`, `setting`, our `model` and `rule`, and `METRICS`."""
    schema = {**dict.fromkeys(_TEXTS, pl.String), **dict.fromkeys(METRICS, pl.Float64)}
    return pl.read_csv(PUBLISHED, schema_overrides=schema).select(*schema)


def beside_published(model_folders: Sequence[Path]) -> pl.DataFrame:
    """Return the published tables of which at least one model of ours does the work, in their order.

    Columns: `table`, `setting`, `model`, `rule`, and for each of `METRICS` the published figure and ours on test, under
    `published_<metric>` and `ours_<metric>`. What was not published, or is not ours, is null.
    """
    folders = {folder.name: folder for folder in model_folders}
    published = read_published()
    tables = published.filter(pl.col("model").is_in(list(folders)))["table"].unique()
    rows = [
        {**{name: row[name] for name in _TEXTS}, **_figures(row, folders.get(row["model"]))}
        for row in published.filter(pl.col("table").is_in(tables.to_list())).iter_rows(named=True)
    ]
    figures = [f"{side}_{metric}" for metric in METRICS for side in ("published", "ours")]
    return pl.DataFrame(rows, schema={**dict.fromkeys(_TEXTS, pl.String), **dict.fromkeys(figures, pl.Float64)})


def render_published(beside: pl.DataFrame) -> str:
    """Return the tables in Markdown, published and ours beside each other; metrics that a table lacks are left out."""
    parts = []
    for name in beside["table"].unique(maintain_order=True):
        rows = beside.filter(pl.col("table") == name)
        metrics = [metric for metric in METRICS if rows[f"published_{metric}"].count()]
        header = ["earlier system", "here", "rule", *(f"{TITLES[metric]}: published / ours" for metric in metrics)]
        cells = [
            [*(escape(row[text] or "\N{EN DASH}") for text in _TEXTS[1:]), *(_pair(row, metric) for metric in metrics)]
            for row in rows.iter_rows(named=True)
        ]
        parts.append(table(header, cells, len(_TEXTS) - 1))
    return "\n".join(parts)


def _figures(published: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    figures = {f"published_{metric}": published[metric] for metric in METRICS}
    if folder is None:
        return {**figures, "model": None, "rule": None}
    evaluated = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rule = published["rule"] or evaluated["chosen_rule"]
    ours = evaluated["rules"].get(rule, {})
    return {"rule": rule, **figures, **{f"ours_{metric}": ours.get(f"test/{metric}") for metric in METRICS}}


def _pair(row: Mapping[str, Any], metric: str) -> str:
    return " / ".join(_written(row[f"{side}_{metric}"]) for side in ("published", "ours"))


def _written(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"
