"""Old runs in a real MLflow store of the test's own: which go, and that a champion never does."""

from pathlib import Path

import mlflow
import pytest
from mlflow.entities import ViewType

from tasks.core.errors import ConfigError
from tasks.core.metrics import Verdict
from tasks.core.settings import settings
from tasks.tracking import runs
from tasks.tracking.champion import champion_version, promote
from tasks.tracking.select_runs import LoggedModel, save_last_run
from tasks.tracking.tidy import empty_trash, find_old_runs, remove_runs

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours


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
        promote(client, model, None, Verdict(True, "because", ""))
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
    with pytest.raises(mlflow.exceptions.MlflowException):
        kept[0].experiment.client().get_run("nowhere")


def test_runs_that_are_not_ours_and_unknown_experiments(paths):
    run, _ = run_once(paths)
    client = run.experiment.client()
    foreign = client.create_run(run.experiment.experiment_id).info.run_id
    client.set_terminated(foreign)
    assert foreign not in find_old_runs("test", 0, paths).run_ids
    with pytest.raises(ConfigError, match="no experiment 'nowhere'"):
        find_old_runs("nowhere", 0, paths)
