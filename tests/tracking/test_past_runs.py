"""Runs that were logged before, in a real MLflow store of the test's own: choosing, fetching and removing them."""

import logging
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from tasks.core.errors import ConfigError, DataError
from tasks.core.metrics import Verdict
from tasks.core.settings import DataPaths, settings
from tasks.tracking import runs
from tasks.tracking.past_runs import (
    NEEDED,
    choose_models,
    empty_trash,
    fetch_results,
    find_old_runs,
    last_models,
    remove_runs,
    save_last_run,
)
from tasks.tracking.registry import champion_version, find_champion, promote
from tasks.tracking.runs import LoggedModel

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
    runs.fail_run(run, failed, "ModelError: no", "Traceback")
    trial = runs.start_model_run(run, "trial 1", {}, "trial")
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


def run_once(paths, name: str = "svm", uri: str | None = None) -> tuple[runs.PipelineRun, LoggedModel]:
    """Log a pipeline run with one model, which is new unless its address is given."""
    run = runs.start_pipeline_run("test", {}, paths, {"source": "sample"})
    run_id = runs.start_model_run(run, name, {})
    client = run.experiment.client()
    if uri is None:
        uri = f"models:/{client.create_logged_model(run.experiment.experiment_id, name, run_id).model_id}"
    client.set_tag(run_id, "genreflow.model_uri", uri)
    for ended in (run_id, run.run_id):
        runs.end_run(run.experiment, ended, runs.FINISHED)
    return run, LoggedModel(name, paths.models / name, run_id, uri)


def active(run: runs.PipelineRun, view: int = ViewType.ACTIVE_ONLY) -> set[str]:
    found = run.experiment.client().search_runs([run.experiment.experiment_id], run_view_type=view)
    return {each.info.run_id for each in found}


def test_a_champion_its_predecessor_the_last_run_and_runs_under_way_stay(paths):
    first, second, third, fourth = (run_once(paths) for _ in range(4))
    client = first[0].experiment.client()
    for _, model in (first, second):
        promote(client, model, find_champion(first[0].experiment, model, paths), Verdict(True, "because", ""))
    save_last_run(paths, fourth[0], [fourth[1]])
    going = runs.start_pipeline_run("test", {}, paths, {"source": "sample"})
    old = find_old_runs("test", 0, paths)
    assert set(old.run_ids) == {third[0].run_id, third[1].run_id}
    assert old.model_ids == (third[1].model_uri.removeprefix("models:/"),)
    remove_runs(old)
    stay = {id_ for run, model in (first, second, fourth) for id_ in (run.run_id, model.run_id)}
    assert active(going) == stay | {going.run_id}
    assert champion_version(client).source == second[1].model_uri
    assert find_old_runs("test", 0, paths).run_ids == ()


def test_the_newest_stay_and_so_does_a_model_that_they_share(paths):
    first = run_once(paths)
    second = run_once(paths, uri=first[1].model_uri)
    old = find_old_runs("test", 1, paths)
    assert (old.n_pipelines, set(old.run_ids), old.model_ids) == (1, {first[0].run_id, first[1].run_id}, ())
    remove_runs(old)
    third = run_once(paths, "other")
    old = find_old_runs("test", 1, paths)
    assert set(old.run_ids) == {second[0].run_id, second[1].run_id}
    assert old.model_ids == (first[1].model_uri.removeprefix("models:/"),)
    assert {third[0].run_id, third[1].run_id} <= active(third[0])


def test_an_emptied_trash_gives_its_space_back(paths):
    kept = [run_once(paths) for _ in range(2)][1]
    remove_runs(find_old_runs("test", 1, paths))
    artifacts = Path(settings().mlruns_dir) / "artifacts"
    before = len(list(artifacts.rglob("*")))
    empty_trash()
    assert active(kept[0], ViewType.ALL) == {kept[0].run_id, kept[1].run_id}
    assert len(list(artifacts.rglob("*"))) <= before
    with pytest.raises(MlflowException):
        kept[0].experiment.client().get_run("nowhere")


def test_runs_that_are_not_ours_and_unknown_experiments(paths):
    run, _ = run_once(paths)
    client = run.experiment.client()
    foreign = client.create_run(run.experiment.experiment_id).info.run_id
    client.set_terminated(foreign)
    assert foreign not in find_old_runs("test", 0, paths).run_ids
    with pytest.raises(ConfigError, match="no experiment 'nowhere'"):
        find_old_runs("nowhere", 0, paths)


def test_the_newest_run_of_another_data_folder_stays(paths, tmp_path):
    elsewhere = DataPaths(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    older, theirs = run_once(elsewhere), run_once(elsewhere)
    ours = run_once(paths)
    save_last_run(paths, ours[0], [ours[1]])
    old = find_old_runs("test", 0, paths)
    assert set(old.run_ids) == {older[0].run_id, older[1].run_id}
    assert set(old.run_ids).isdisjoint({theirs[0].run_id, theirs[1].run_id})


def test_folders_of_one_name_are_different_folders(paths, tmp_path, monkeypatch):
    """As two containers have, each with a volume of its own at the same place."""
    theirs = runs.start_pipeline_run("test", {}, paths, {"source": "sample"})
    paths.folder_id.rename(tmp_path / "their_id")
    ours = runs.start_pipeline_run("test", {}, paths, {"source": "sample"})
    client = ours.experiment.client()
    assert client.get_run(theirs.run_id).info.status == "RUNNING"
    runs.start_pipeline_run("test", {}, paths, {"source": "sample"})
    assert client.get_run(ours.run_id).info.status == "KILLED"
