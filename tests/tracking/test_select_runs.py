"""Choosing runs to compare in a real MLflow store of the test's own."""

import logging

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from tasks.core.errors import ConfigError, DataError
from tasks.tracking import runs
from tasks.tracking.select_runs import NEEDED, LoggedModel, choose_models, fetch_results, last_models, save_last_run

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours


@pytest.fixture
def run(paths):
    return runs.start_pipeline_run("test", {}, paths, {"preset": "quick"})


def start(run, name, folder, uri="", files=NEEDED):
    """Start and finish the run of a model that left some files."""
    run_id = runs.start_model_run(run, name, {})
    for file in (*files, "confusion.png", "train.stage.json", "evaluate.stage.json"):
        (folder / file).write_text(name)
        runs.log_files(run.experiment, run_id, [folder / file])
    client = run.experiment.client()
    client.set_tag(run_id, "genreflow.model_uri", uri or f"models:/{run_id}")
    client.set_tag(run_id, "genreflow.data_hash", "abc")
    runs.end_run(run.experiment, run_id, "FINISHED")
    return run_id


def names(models):
    return sorted(model.name for model in models)


def test_runs_experiments_and_filters_choose_models(run, paths, tmp_path):
    first, second = start(run, "a", tmp_path), start(run, "b", tmp_path)
    (chosen,) = choose_models(paths, [second])
    assert (chosen.name, chosen.run_id, chosen.data_hash) == ("b", second, "abc")
    assert {path.name for path in chosen.folder.iterdir()} == {*NEEDED, "train.stage.json"}
    assert (chosen.folder / "rules.json").read_text() == "b"
    assert names(choose_models(paths, [run.run_id])) == ["a", "b"]  # a pipeline's run stands for its models
    assert names(choose_models(paths, [run.run_id, first])) == ["a", "b"]
    assert names(choose_models(paths, experiment="test")) == ["a", "b"]
    assert names(choose_models(paths, experiment="test", query='tags."genreflow.model" = "a"')) == ["a"]


def test_the_same_model_is_taken_once_and_namesakes_are_told_apart(run, paths, tmp_path, caplog):
    caplog.set_level(logging.INFO, "tasks")
    old, new = (start(run, "a", tmp_path, "models:/m") for _ in range(2))
    other = start(run, "a", tmp_path, "models:/n")
    assert names(choose_models(paths, experiment="test")) == sorted([f"a@{new[:8]}", f"a@{other[:8]}"])
    assert "left out, because another has the identical model: 1 run" in caplog.text
    assert old not in caplog.text


def test_runs_that_cannot_be_compared_are_told_and_the_others_go_on(run, paths, tmp_path, caplog):
    client = run.experiment.client()
    good, gone, empty = (
        start(run, "good", tmp_path),
        start(run, "gone", tmp_path),
        start(run, "empty", tmp_path, files=()),
    )
    client.delete_run(gone)
    failed = runs.start_model_run(run, "failed", {})
    runs.fail_run(run.experiment, failed, "ModelError: no", "Traceback")
    trial = runs.start_trial_run(run, 1, {})
    assert names(choose_models(paths, [good, gone, empty, failed, trial])) == ["good"]
    told = [record.message for record in caplog.records if "left out" in record.message]
    assert len(told) == 4
    for run_id, reason in (
        (gone, f"was deleted (`mlflow runs restore --run-id {gone}`"),
        (failed, "is FAILED: ModelError: no"),
        (trial, "is not of a model"),
        (empty, "has no metrics.json, fit.json, rules.json, predictions_test.parquet"),
    ):
        assert sum(run_id in line and reason in line for line in told) == 1
    caplog.clear()
    assert names(choose_models(paths, [run.run_id])) == names(choose_models(paths, experiment="test")) == ["good"]
    assert sum(gone in record.message and "was deleted" in record.message for record in caplog.records) == 2
    with pytest.raises(DataError, match="none of 2 MLflow runs can be compared"):
        choose_models(paths, [gone, failed])


def test_mistakes_are_told(run, paths, tmp_path):
    start(run, "a", tmp_path)
    with pytest.raises(ConfigError, match="no run nowhere"):
        choose_models(paths, ["nowhere"])
    with pytest.raises(ConfigError, match="no run 3f2a; give the whole id, 32 characters"):
        choose_models(paths, ["3f2a"])
    with pytest.raises(DataError, match=r"--filter: no run of a model matches 'metrics.x > 3'"):
        choose_models(paths, experiment="test", query="metrics.x > 3")
    with pytest.raises(ConfigError, match=r"no experiment 'tset'; there are: .*test"):
        choose_models(paths, experiment="tset")
    with pytest.raises(ConfigError, match="--filter: MLflow cannot read 'a ~ b'"):
        choose_models(paths, experiment="test", query="a ~ b")


def test_of_the_last_run_what_was_deleted_is_told(run, paths, tmp_path, caplog):
    client = run.experiment.client()
    models = [LoggedModel(name, tmp_path, start(run, name, tmp_path), "") for name in "ab"]
    save_last_run(paths, run, models)
    client.delete_run(models[0].run_id)
    assert last_models(paths) == (run, models[1:])
    assert f"a is left out: its MLflow run {models[0].run_id} was deleted" in caplog.text
    client.delete_run(models[1].run_id)
    with pytest.raises(DataError, match="all models of the last pipeline run were deleted"):
        last_models(paths)
    client.delete_run(run.run_id)
    with pytest.raises(DataError, match=f"mlflow runs restore --run-id {run.run_id}"):
        last_models(paths)


def test_a_store_that_does_not_answer_is_not_said_to_lack_runs(run, paths, tmp_path, monkeypatch):
    def no_answer(*_arguments, **_options):
        raise MlflowException("API request to http://127.0.0.1/api failed with exception: no answer")

    save_last_run(paths, run, [LoggedModel("a", tmp_path, start(run, "a", tmp_path), "")])
    monkeypatch.setattr(mlflow.MlflowClient, "get_run", no_answer)
    monkeypatch.setattr(mlflow.MlflowClient, "search_runs", no_answer)
    for choose in (
        lambda: last_models(paths),
        lambda: choose_models(paths, [run.run_id]),
        lambda: choose_models(paths, experiment="test"),
        lambda: choose_models(paths, experiment="test", query="metrics.x > 3"),
    ):
        with pytest.raises(MlflowException, match="API request"):
            choose()


def test_no_name_in_the_store_leads_out_of_the_folder(run, paths, tmp_path):
    (chosen,) = choose_models(paths, [start(run, "../../x y", tmp_path)])
    assert chosen.name == chosen.folder.name
    assert chosen.folder.parent == paths.compared / chosen.run_id


def test_results_are_fetched_once_and_never_in_part(run, paths, tmp_path):
    client, run_id = run.experiment.client(), start(run, "a", tmp_path, files=NEEDED[:2])
    with pytest.raises(DataError, match="has no rules"):
        fetch_results(client, run_id, "a", paths)
    assert not list(paths.compared.rglob("*.json"))
    for file in NEEDED:
        (tmp_path / file).write_text("a")
        runs.log_files(run.experiment, run_id, [tmp_path / file])
    folder = fetch_results(client, run_id, "a", paths)
    client.delete_run(run_id)
    assert fetch_results(client, run_id, "a", paths) == folder
