"""Runs in a real MLflow store of the test's own."""

import json
import os
import re
import subprocess
import time
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import mlflow
import polars as pl
import pytest
from hypothesis import example, given
from mlflow.utils.validation import _validate_metric_name

from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import DataPaths, settings
from tasks.stage import StageResult
from tasks.tracking import past_runs, runs, store
from tasks.tracking.past_runs import load_last_run, save_last_run
from tasks.tracking.runs import LoggedModel, flat_params, metric_name
from tasks.tracking.store import VIEW_PAGE, Experiment, open_experiment, public_address, save_view
from tasks.tracking.task import log_folds, log_search, log_stages, log_trial

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours


@pytest.fixture
def run(paths):
    return runs.start_pipeline_run("test", {"seed": 1, "split": {"test_share": 0.1}}, paths, {"source": "sample"})


def test_store_lies_beside_its_artifacts_and_is_made_once(paths, tmp_path):
    first, second = open_experiment("test"), open_experiment("test")
    assert first == second
    assert first.tracking_uri == f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}"
    experiment = first.client().get_experiment(first.experiment_id)
    assert experiment.artifact_location == (tmp_path / "mlruns" / "artifacts").as_uri()


@pytest.mark.parametrize("uri", ["/some/folder", "file:///some/folder"])
def test_folder_as_store_is_refused_with_the_remedy(paths, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings.cache_clear()
    with pytest.raises(ConfigError, match=r"use sqlite:////path/to/mlflow\.db"):
        open_experiment("test")


def test_deleted_experiment_is_told_with_the_remedy(paths):
    experiment = open_experiment("test")
    experiment.client().delete_experiment(experiment.experiment_id)
    with pytest.raises(ConfigError, match=f"mlflow experiments restore --experiment-id {experiment.experiment_id}"):
        open_experiment("test")


def test_the_previous_best_is_of_the_last_compared_run_before(run, paths):
    assert past_runs.previous_best(run) is None
    client = run.experiment.client()
    client.log_metric(run.run_id, "test/jaccard", 0.5)
    for name, value in (("genreflow.best", "svm"), ("genreflow.data_hash", "abc")):
        client.set_tag(run.run_id, name, value)
    time.sleep(0.01)  # MLflow counts in milliseconds
    runs.start_pipeline_run("test", {}, paths, {"source": "never compared"})
    time.sleep(0.01)
    later = runs.start_pipeline_run("test", {}, paths, {"source": "sample"})
    client.log_metric(later.run_id, "test/jaccard", 0.6)
    assert past_runs.previous_best(later) == {"name": run.name, "model": "svm", "jaccard": 0.5, "data_hash": "abc"}


def test_children_of_runs_share_params_and_tags(run):
    child_id = runs.start_model_run(run, "nb", {"classifier": {"alpha": 0.3}})
    child = run.experiment.client().get_run(child_id)
    assert child.data.params == {"seed": "1", "classifier.alpha": "0.3"}
    assert child.data.tags["genreflow.source"] == "sample"
    assert child.data.tags["mlflow.parentRunId"] == run.run_id


def test_an_experiment_s_description_leads_to_the_models_that_were_compared_last(run):
    ids = [runs.start_model_run(run, name, {}) for name in ("first", "second", "other")]
    save_view(run.experiment, ids[:2])
    client = run.experiment.client()
    tags = client.get_experiment(run.experiment.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    page = VIEW_PAGE.format(run.experiment.experiment_id)
    assert f"({page})" in tags["mlflow.note.content"]
    (key,) = re.findall("viewStateShareKey=([^&]+)", page)
    view = json.loads(tags[f"mlflow.sharedViewState.{key}"])
    found = client.search_runs([run.experiment.experiment_id], view["searchFilter"])
    assert {each.info.run_id for each in found} == set(ids[:2])
    assert "metrics.`test/jaccard`" in view["selectedColumns"]


def test_runs_say_who_ran_what_from_which_revision(run):
    tags = run.experiment.client().get_run(run.run_id).data.tags
    assert tags["mlflow.user"]
    assert tags["mlflow.source.name"] == "genreflow pipeline"
    assert tags["genreflow.git_revision"].startswith(tags["mlflow.source.git.commit"])


def test_folds_are_steps_and_their_mean_and_spread_metrics(run, paths, tmp_path):
    for path in (paths.movies, paths.splits):
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"movie_id": ["a"], "part": ["train"]}).write_parquet(path)
    folder = tmp_path / "nb"
    folder.mkdir()
    jaccard = {"jaccard": {"mean": 0.4, "std": 0.1, "folds": [0.3, 0.5]}}
    stored = {"chosen_rule": "global", "rules": {"global": jaccard}}
    (folder / "metrics.json").write_text(json.dumps(stored), encoding="utf-8")
    (folder / "fit.json").write_text('{"fit_s": 2.0}', encoding="utf-8")
    run = replace(run, tags=run.tags | runs.log_data(run, paths))
    child_id = runs.start_model_run(run, "nb", {}, "cross-validation")
    log_folds.fn(run, child_id, folder)
    child = run.experiment.client().get_run(child_id)
    assert (child.info.status, child.data.tags["genreflow.kind"]) == ("FINISHED", "cross-validation")
    assert child.data.metrics.items() >= {"cv/jaccard": 0.4, "cv/jaccard_std": 0.1, "time/fit_s": 2.0}.items()
    history = run.experiment.client().get_metric_history(child_id, "fold/jaccard")
    assert [(point.step, point.value) for point in history] == [(0, 0.3), (1, 0.5)]


def test_a_folder_that_is_not_prepared_is_told(run, paths):
    with pytest.raises(DataError, match=r"movies.parquet is missing; run flows/prepare\.py first"):
        runs.log_data(run, paths)


def test_trials_are_children_with_what_they_try_and_the_search_tells_how_it_goes(run, tmp_path):
    for number, value in ((1, 0.4), (2, 0.3)):
        trial_id = runs.start_model_run(run, f"trial {number}", {"trial": {"C": 2.5, "bag-of-words.max_n": 3}}, "trial")
        log_trial.fn(run, trial_id, {"jaccard": value})
        log_search.fn(run, number, {"value": value, "best": 0.4}, tmp_path / "best.yaml")
    client = run.experiment.client()
    trial = client.get_run(trial_id)
    assert (trial.info.run_name, trial.info.status, trial.data.metrics) == ("trial 2", "FINISHED", {"val/jaccard": 0.3})
    assert trial.data.params.items() >= {"seed": "1", "trial.C": "2.5", "trial.bag-of-words.max_n": "3"}.items()
    assert trial.data.tags["mlflow.parentRunId"] == run.run_id
    assert [point.value for point in client.get_metric_history(run.run_id, "search/value")] == [0.4, 0.3]


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"source": "sample"}, "pipeline sample 2"),
        ({"preset": "quick"}, "pipeline 2"),
        ({"flow": "search", "model": "nb"}, "search nb 2"),
    ],
)
def test_a_run_is_named_after_what_it_does(paths, tags, name):
    assert runs.start_pipeline_run("test", {}, paths, tags).name.startswith(name)


@pytest.mark.parametrize("name", ["o'neill", 'the "new" one', "o'neill's \"new\" one"])
def test_a_folder_whose_name_has_quotes_is_a_folder_like_others(run, tmp_path, name):
    quoted = DataPaths(tmp_path / name)
    first = runs.start_pipeline_run("test", {}, quoted, {})
    runs.start_pipeline_run("test", {}, quoted, {})
    client = run.experiment.client()
    assert [client.get_run(each.run_id).info.status for each in (first, run)] == ["KILLED", "RUNNING"]


def test_what_a_dead_process_left_running_is_marked_killed(run, paths):
    child_id = runs.start_model_run(run, "nb", {})
    again = runs.start_pipeline_run("test", {}, paths, {})
    client = run.experiment.client()
    assert [client.get_run(id_).info.status for id_ in (run.run_id, child_id, again.run_id)] == [
        "KILLED", "KILLED", "RUNNING",
    ]  # fmt: skip


def test_failure_keeps_error_and_traceback(run):
    child_id = runs.start_model_run(run, "nb", {})
    runs.fail_run(run, child_id, "ModelError: no", "Traceback: ...")
    child = run.experiment.client().get_run(child_id)
    assert (child.info.status, child.data.tags["genreflow.error"]) == ("FAILED", "ModelError: no")
    assert mlflow.artifacts.load_text(f"{child.info.artifact_uri}/error.txt") == "Traceback: ..."


def test_counts_of_stages_become_metrics_and_sidecars_files(run, tmp_path):
    (tmp_path / "clean.stage.json").write_text("{}", encoding="utf-8")
    by_label = {"unknown_genre/Été?": 1, "unknown_genre/TV//Film": 2, "dropped/a b?": 3}
    counts = {"rows_read": 7, "by": by_label, "names": ["a"], "done": True}
    log_stages.fn(run, [StageResult("clean", tmp_path, "f", False, counts)])
    stored = run.experiment.client().get_run(run.run_id)
    assert stored.data.metrics["verbose/data/clean/rows_read"] == 7
    assert stored.data.metrics["verbose/data/clean/by.unknown_genre"] == 3
    assert stored.data.metrics["verbose/data/clean/by.dropped/a b_-a1a199"] == 3
    files = run.experiment.client().list_artifacts(run.run_id, "stages")
    assert [file.path for file in files] == ["stages/clean.stage.json"]


def test_metrics_that_are_not_finite_are_left_out(run):
    runs.log_metrics(run.experiment, run.run_id, {"a": 1.0, "b": float("nan"), "c": float("inf")})
    assert run.experiment.client().get_run(run.run_id).data.metrics == {"a": 1.0}


def test_params_are_flat_and_short():
    flat = flat_params({"a": {"b": [1, 2], "c": {}}, "d": None, "e": "x" * 9000})
    assert flat["a.b"] == "[1, 2]"
    assert (flat["a.c"], flat["d"]) == ("{}", "null")
    assert len(flat["e"]) < 6000


def test_last_run_is_read_back(run, paths):
    logged = [LoggedModel("nb", paths.models / "nb", "abc", "models:/m-1")]
    save_last_run(paths, run, logged)
    assert load_last_run(paths) == (run, logged)


@pytest.mark.parametrize("content", [None, "{", "{}", json.dumps({"run": {}, "models": []})])
def test_missing_or_damaged_last_run_is_told(paths, content):
    if content is not None:
        paths.last_run.parent.mkdir(parents=True)
        paths.last_run.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"run flows/train\.py first"):
        load_last_run(paths)


def test_last_run_without_models_is_told(run, paths):
    save_last_run(paths, run, [])
    with pytest.raises(DataError, match="every model of the last run failed"):
        load_last_run(paths)


def test_missing_git_is_no_error(monkeypatch):
    def absent(*_args: object, **_kwargs: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", absent)
    assert runs.git_revision() == "unknown"


def test_no_secret_of_a_source_reaches_the_store(run, paths):
    source = "https://me:other-secret@host/x.csv"
    named = runs.start_pipeline_run("test", {}, paths, {"source": source})
    stored = run.experiment.client().get_run(named.run_id)
    assert "other-secret" not in f"{named} {stored.info} {stored.data.tags}"


def test_no_secret_of_a_failure_or_a_param_reaches_the_store(run, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "planted-secret")
    child_id = runs.start_model_run(run, "nb", {"from": "http://me:other-secret@host/x"})
    runs.fail_run(run, child_id, "it was planted-secret", "Traceback: planted-secret")
    child = run.experiment.client().get_run(child_id)
    assert child.data.tags["genreflow.error"] == "it was ***"
    assert child.data.params["from"] == "http://me:***@host/x"
    assert mlflow.artifacts.load_text(f"{child.info.artifact_uri}/error.txt") == "Traceback: ***"


def use_store(monkeypatch, uri: str) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that what connecting sets is undone
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings.cache_clear()


def test_a_database_s_password_is_not_kept_and_comes_from_the_environment(run, paths, monkeypatch):
    uri = "postgresql://me:planted@127.0.0.1:9/runs"
    use_store(monkeypatch, uri)
    elsewhere = replace(run, experiment=Experiment(public_address(uri), "1", "test"))
    save_last_run(paths, elsewhere, [LoggedModel("nb", paths.models / "nb", "abc", "models:/m-1")])
    assert "planted" not in paths.last_run.read_text(encoding="utf-8")
    kept = load_last_run(paths)[0].experiment
    assert kept.tracking_uri == "postgresql://me:***@127.0.0.1:9/runs"
    connected = []
    with monkeypatch.context() as patched:
        patched.setattr(store, "_connect", connected.append)
        kept.client()
    assert connected == [uri]
    use_store(monkeypatch, "sqlite:////elsewhere/mlflow.db")
    with pytest.raises(ConfigError, match=r"postgresql://me:\*\*\*@127.*set MLFLOW_TRACKING_URI to the full address"):
        kept.client()


def test_a_server_s_password_reaches_mlflow_beside_its_address(monkeypatch, paths):
    use_store(monkeypatch, "http://me:pl%40nted@127.0.0.1:9")
    monkeypatch.setattr("tasks.tracking.store._check_answers", lambda _uri: None)
    Experiment("http://127.0.0.1:9", "1", "test").client()
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == "http://127.0.0.1:9"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "pl@nted")


def test_a_last_run_of_an_earlier_release_is_read_without_its_password(run, paths):
    save_last_run(paths, run, [LoggedModel("nb", paths.models / "nb", "abc", "models:/m-1")])
    content = json.loads(paths.last_run.read_text(encoding="utf-8"))
    content["run"]["experiment"]["tracking_uri"] = "postgresql://me:planted@host/runs"
    paths.last_run.write_text(json.dumps(content), encoding="utf-8")
    assert "planted" not in repr(load_last_run(paths))


@hypothesis.settings(deadline=None)
@given(labels=st.lists(st.text(min_size=1, max_size=400), unique=True, max_size=20))
@example(
    labels=["Drama/", "Drama", "..", ".", "TV//Film", "C#", "C+", "x" * 300, "x" * 301, "/", " ", "a\nb", "\x1b[31m"]
)
def test_every_label_has_a_metric_of_its_own_that_mlflow_takes(labels):
    names = [f"genres/{metric_name(label)}/test/f1" for label in labels]
    assert len(set(names)) == len(labels)
    for name in names:
        _validate_metric_name(name)
