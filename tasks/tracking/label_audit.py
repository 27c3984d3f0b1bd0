"""The effect of dropping doubted movies in MLflow: under which names its figures are logged."""

import polars as pl

from tasks.paths import data_paths
from tasks.tracking import runs
from tasks.tracking.runs import PipelineRun


def log_effect(run: PipelineRun) -> None:
    """Log each difference on test, and the ends of its 95 % interval, to the run of the audit."""
    table = pl.read_csv(data_paths().results / "label_audit_effect.csv")
    metrics = {}
    for dropped, metric, *values in table.select("dropped", "metric", "difference", "low", "high").iter_rows():
        for suffix, value in zip(("", "_low", "_high"), values, strict=True):
            metrics[f"effect/{dropped}/{metric}{suffix}"] = float(value)
    runs.log_metrics(run.experiment, run.run_id, metrics)
