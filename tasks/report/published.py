"""The earlier system's published figures beside ours. Owns the figures and which model of ours does the same work.

Source: the published results of the earlier research system, as carried in `published.csv`: linear and neighbour models
on a development split of about 17,000 movies ("linear"), logistic regressions on its full training set ("full"), and
DistilBERT with three losses on about 17,000 rows, all samples-averaged, on the full Kaggle set. Ours are on the data at
hand, so that the two sides share the work and not the movies.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

PUBLISHED: Final = Path(__file__).with_name("published.csv")
METRICS: Final = ("jaccard", "at_least_one", "precision_samples", "recall_samples")
TITLES: Final = {"jaccard": "Jaccard", "at_least_one": "at least one", "precision_samples": "precision",
                 "recall_samples": "recall"}  # fmt: skip


def beside_published(model_folders: Sequence[Path]) -> pl.DataFrame:
    """Return a row for each model that does the work of a published one, in the order of the published figures.

    Columns: `table`, `setting`, `model`, `rule`, and for each of `METRICS` the published figure and ours on test, by
    our model's chosen rule, under `published_<metric>` and `ours_<metric>`. What was not published is null.
    """
    published = pl.read_csv(PUBLISHED)
    folders = {folder.name: folder for folder in model_folders}
    rows = [
        {**{name: row[name] for name in ("table", "setting", "model")}, **_figures(row, folders[row["model"]])}
        for row in published.iter_rows(named=True)
        if row["model"] in folders
    ]
    figures = [f"{side}_{metric}" for metric in METRICS for side in ("published", "ours")]
    texts = ("table", "setting", "model", "rule")
    return pl.DataFrame(rows, schema={**dict.fromkeys(texts, pl.String), **dict.fromkeys(figures, pl.Float64)})


def render_published(table: pl.DataFrame) -> str:
    """Return the table in Markdown, published and ours beside each other."""
    header = ["earlier system", "here", "rule", *(f"{TITLES[metric]}: published / ours" for metric in METRICS)]
    lines = [header, ["---"] * 3 + ["---:"] * len(METRICS)]
    for row in table.iter_rows(named=True):
        pairs = [" / ".join(_written(row[f"{side}_{metric}"]) for side in ("published", "ours")) for metric in METRICS]
        lines.append([row["setting"], row["model"], row["rule"], *pairs])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _figures(published: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    evaluated = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rule = evaluated["chosen_rule"]
    ours = evaluated["rules"][rule]
    figures = {f"published_{metric}": published[metric] for metric in METRICS}
    figures |= {f"ours_{metric}": ours.get(f"test/{metric}") for metric in METRICS}
    return {"rule": rule, **figures}


def _written(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"
