"""What a finished run looks like in Prefect: names, states, edges, artifacts and the way to MLflow."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import FlowRunSort

from flows.acquire import acquire_or_plan
from flows.config import AcquireConfig, ExploreFlowConfig, PipelineConfig, PrepareConfig, with_arguments
from flows.explore import explore
from flows.full_pipeline import full_pipeline
from flows.model_runs import ModelsFailedError
from flows.prepare import prepare
from flows.run_context import log_steps, mlflow_page
from tasks.core.errors import ConfigError, is_installed
from tasks.core.logs import Progress
from tasks.prefect_task import stage_task
from tasks.stage import StageResult

pytestmark = pytest.mark.filterwarnings("default")

MLFLOW = (
    "log ",
    "last models",
    "find champion",
    "judge ",
    "promote",
    "run duration",
    "previous best",
    "record failure",
)
OF_A_RUN = ("report",)  # it names the run
FAILING = "nb-counts"


@dataclass
class Seen:
    """A flow run and its task runs."""

    client: SyncPrefectClient
    flow: FlowRun
    tasks: dict[str, TaskRun]

    def needed_by(self, name: str) -> set[str]:
        """Return the names of the runs whose results a task run was given."""
        names = {str(run.id): run.name for run in self.tasks.values()}
        inputs = self.tasks[name].task_inputs
        return {names[str(each.id)] for key, given in inputs.items() if key != "__parents__" for each in given}


def last_run(client: SyncPrefectClient, name: str) -> Seen:
    """Return what the last run of a flow did."""
    wanted = FlowRunFilter.model_validate({"name": {"any_": [name]}})
    (run,) = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1, flow_run_filter=wanted)
    return Seen(client, run, tasks_of(client, run.id))


def tasks_of(client: SyncPrefectClient, flow_run_id: Any) -> dict[str, TaskRun]:
    """Return the task runs of a flow run, by their names."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    return {run.name: run for run in client.read_task_runs(flow_run_filter=wanted)}


@pytest.fixture(scope="module")
def rerun(finished: Any) -> Iterator[Seen]:
    """The pipeline once more, with nothing changed; once before, as other tests may have compared other models."""
    for _ in range(2):
        with pytest.raises(ModelsFailedError):
            full_pipeline(source="sample", config=finished.config)
    with get_client(sync_client=True) as client:
        yield last_run(client, "full pipeline: sample, quick")


def test_what_was_up_to_date_ends_as_cached_all_the_way_down(rerun: Seen) -> None:
    states = {name: run.state_name for name, run in rerun.tasks.items() if not name.startswith((*MLFLOW, *OF_A_RUN))}
    states = {name: state for name, state in states.items() if state != "NotReady"}  # which needs what failed
    assert states.pop(next(name for name in states if "surface_counts" in name)) == "Failed"
    left_out = set() if is_installed("audit") else {"audit labels"}
    assert {name for name, state in states.items() if state == "Skipped"} == left_out | {
        "draw models",
        "draw trees",
    }
    assert set(states.values()) == {"Cached", "Skipped"}
    assert {"acquire", "clean", "annotate", "split", "run svm-title", "leaderboard", "draw trees"} <= states.keys()


def test_a_flow_with_nothing_to_do_ends_as_cached(finished: Any) -> None:
    config = PrepareConfig.model_validate({name: getattr(finished.config, name) for name in PrepareConfig.model_fields})
    state = prepare(config=config, return_state=True)
    assert state.name == "Cached"
    assert state.message == "250 movies: 200 to train on, 25 to choose by, 25 to test on"
    assert all(result.skipped for result in state.result())


def test_acquiring_and_exploring_are_flows_of_their_own(finished: Any) -> None:
    acquired = acquire_or_plan(source="sample", config=AcquireConfig(sample=finished.config.sample), return_state=True)
    assert (acquired.name, acquired.message) == ("Cached", "16 files from sample")
    explored = explore(ExploreFlowConfig(explore={"of": "clean"}), return_state=True)
    page = finished.paths.explore / "index.html"
    assert explored.message == f"open {page}"
    assert page.is_file()
    assert [result.name for result in explored.result()] == ["explore_clean", "explore"]


def test_the_graph_is_the_pipeline(rerun: Seen) -> None:
    assert rerun.needed_by("clean") == {"acquire"}
    assert rerun.needed_by("annotate") == {"clean"}
    assert rerun.needed_by("split") == {"annotate"}
    (features,) = rerun.needed_by("train svm-title")
    assert rerun.needed_by(features) == {"split"}
    assert features.startswith("features title")
    assert rerun.needed_by("evaluate svm-title") == {"train svm-title"}
    assert rerun.needed_by("log svm-title") == {"evaluate svm-title"}
    assert rerun.needed_by("promote") >= {"find champion"}
    assert "leaderboard" in rerun.needed_by("choose exhibits")
    assert {"leaderboard", "compare pair", "audit labels", "genre similarity"} <= rerun.needed_by("report")
    assert rerun.needed_by("draw trees") == {"leaderboard"}  # there is none among the models


def test_a_model_ends_by_saying_what_came_of_it(rerun: Seen) -> None:
    assert "MLflow" in str(rerun.tasks["run svm-title"].state.message)


def test_prefect_and_mlflow_know_each_other(rerun: Seen, finished: Any) -> None:
    flow_run = rerun.flow
    client = mlflow.MlflowClient(finished.tracking_uri)
    experiment = client.get_experiment_by_name("test")
    found = client.search_runs([experiment.experiment_id], f"tags.`genreflow.prefect_flow_run` = '{flow_run.id}'")
    assert len(found) == 5  # of the pipeline and of its models
    assert all(f"/runs/flow-run/{flow_run.id})" in run.data.tags["mlflow.note.content"] for run in found)
    pipeline_id = next(run.info.run_id for run in found if run.data.tags["genreflow.kind"] == "pipeline")
    artifacts = rerun.client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id]))
    )
    by_key = {artifact.key: artifact for artifact in artifacts}
    assert {"leaderboard", "champion", "report"} <= by_key.keys()
    assert pipeline_id in str(by_key["leaderboard"].description)
    assert "file:" not in "".join(f"{artifact.data}{artifact.description}" for artifact in artifacts)


def test_constants_that_results_share_are_no_edges(prefect_harness: None, tmp_path: Path) -> None:
    first = stage_task("first")(lambda: StageResult("train", tmp_path, "f", False))
    second = stage_task("second")(lambda name, folder: StageResult(name, folder, "f", False))
    third = stage_task("third")(lambda result: result.name)

    @flow(name="three tasks")
    def three_tasks() -> None:
        made = first()
        second(made.name, made.folder)
        third(made)

    state = three_tasks(return_state=True)
    with get_client(sync_client=True) as client:
        tasks = tasks_of(client, state.state_details.flow_run_id)
    assert not any(tasks["second"].task_inputs.values())
    assert {each.id for each in tasks["third"].task_inputs["result"]} == {tasks["first"].id}


def test_long_work_shows_its_progress(prefect_harness: None) -> None:
    log_steps()
    seconds = iter(range(0, 1000, 3))

    @flow(name="long work")
    def long_work() -> None:
        stage_task("long")(count_to)(10, seconds)

    def count_to(total: int, clock: Iterator[int]) -> None:
        work = Progress("predict new.csv", total, clock=lambda: next(clock))
        for _ in range(total):
            work.advance()
        work.finish()

    state = long_work(return_state=True)
    wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=wanted)
    assert (artifact.key, artifact.type, artifact.data) == ("predict-new-csv", "progress", 100)
    assert "10 of 10 (100%)" in str(artifact.description)


def test_leading_options_complete_the_configuration(tmp_path: Path) -> None:
    config = PipelineConfig(source="kaggle", seed=7, models=["svm-*"])
    assert with_arguments(PipelineConfig, config, source=None, preset=None, models=()) is config
    chosen = with_arguments(PipelineConfig, config, source="kaggle", models=("svm-*",))
    assert (chosen.source, chosen.models, chosen.seed) == ("kaggle", ("svm-*",), 7)
    (tmp_path / "mine.yaml").write_text("models: [nb-counts]", encoding="utf-8")
    other = with_arguments(PipelineConfig, PipelineConfig(seed=7), preset=str(tmp_path / "mine.yaml"))
    assert other.models == ("nb-counts",)  # and not those of quick
    assert with_arguments(PipelineConfig, None) == PipelineConfig()


def test_an_option_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="source is sample, but kaggle in config: give it once"):
        with_arguments(PipelineConfig, PipelineConfig(source="kaggle"), source="sample")


def test_a_run_in_mlflow_has_an_address_only_where_a_server_shows_it() -> None:
    class Experiment:
        tracking_uri, experiment_id = "https://mlflow.example.org", "3"

    class Run:
        experiment = Experiment()

    assert mlflow_page(Run(), "abc") == "https://mlflow.example.org/#/experiments/3/runs/abc"
    Experiment.tracking_uri = "sqlite:///mlflow.db"
    assert mlflow_page(Run(), "abc") == "id abc in sqlite:///mlflow.db"
