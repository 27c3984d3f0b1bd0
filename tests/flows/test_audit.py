"""The audit on the data of the finished pipeline: what it drops, prints, writes and leaves in MLflow."""

import mlflow
import polars as pl
import pytest
from pydantic import ValidationError

from flows.audit import audit
from flows.cli import parse_command
from flows.config import AuditConfig
from tasks.core.errors import ConfigError
from tasks.core.settings import DataPaths

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = pytest.mark.filterwarnings("default")


def ids_by_part(paths):
    splits = pl.read_parquet(paths.splits)
    return {part: set(rows["movie_id"]) for (part,), rows in splits.group_by("part")}


def test_doubted_movies_are_dropped_from_train_alone_and_the_effect_is_told(finished, capsys):
    config = AuditConfig(model="logreg-tfidf", experiment="audit", share=0.1)
    before = {path: path.read_bytes() for path in (finished.paths.models / "logreg-tfidf").glob("*.*")}
    audit(config)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(" on test is ")[0].rpartition(" the ")[2] for line in printed] == ["Jaccard", "F1 (macro)"] * 2

    home = finished.paths.label_audit / "logreg-tfidf"
    roots = {name: DataPaths(home / name) for name in ("train", "with-all", "without-doubted", "without-random")}
    parts = {name: ids_by_part(paths) for name, paths in roots.items()}
    whole = ids_by_part(finished.paths)
    assert parts["train"] == {"train": whole["train"]}
    assert parts["with-all"] == whole
    for name in ("doubted", "random"):
        dropped = set(pl.read_csv(roots["train"].results / f"drop_{name}.csv")["movie_id"])
        assert len(dropped) == round(0.1 * len(whole["train"]))
        assert parts[f"without-{name}"] == {**whole, "train": whole["train"] - dropped}
    assert before == {path: path.read_bytes() for path in (finished.paths.models / "logreg-tfidf").glob("*.*")}

    effect = pl.read_csv(finished.paths.results / "label_audit_effect.csv")
    assert effect["finding"].to_list() == printed
    client = mlflow.MlflowClient(finished.tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name("audit").experiment_id])
    (parent,) = [run for run in runs if run.data.tags["genreflow.kind"] == "pipeline"]
    children = [run for run in runs if run.data.tags["genreflow.kind"] == "variant"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.info.run_name for run in children) == ["with-all", "without-doubted", "without-random"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.data.tags["genreflow.model"] for run in runs} == {"logreg-tfidf"}
    figures = {run.info.run_name: run.data.metrics["test/jaccard"] for run in children}
    assert parent.data.metrics["effect/doubted/jaccard"] == pytest.approx(
        figures["without-doubted"] - figures["with-all"], abs=1e-6
    )

    stamps = {path: path.stat().st_mtime_ns for path in finished.paths.root.rglob("*.stage.json")}
    audit(config)
    assert stamps == {path: path.stat().st_mtime_ns for path in finished.paths.root.rglob("*.stage.json")}


def test_only_one_model_that_is_quick_to_fit_can_be_audited():
    assert parse_command(AuditConfig, ["--model", "svm-fields", "--share", "none"]).share is None
    with pytest.raises(ConfigError, match="audit trains one model, but blend means several"):
        AuditConfig(model="blend")
    with pytest.raises(ConfigError, match="which takes too long for"):
        AuditConfig(model="minilm-tuned")
    with pytest.raises(ValidationError, match="less than 1"):
        AuditConfig(model="svm-fields", share=1)
