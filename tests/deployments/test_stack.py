"""What a team needs: runs on PostgreSQL, Prefect and MLflow servers, and what happens when something dies."""

import contextlib
import itertools
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import mlflow
import pytest

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("default")]

OVER = {"Completed", "Failed", "Cancelled"}  # a crashed run may go on


def small(n_movies):
    config = {"sample": {"n_movies": n_movies}, "models": ["logreg-title"], "skip": ["annotate"], "report": False}
    return {"config": config}


def pipeline(stack):
    """The deployment's id."""
    url = f"{stack.environment['PREFECT_API_URL']}/deployments/name/full-pipeline/local"
    return httpx.get(url, trust_env=False, timeout=900).json()["id"]


def start(stack, n_movies):
    asked = {"parameters": small(n_movies), "state": {"type": "SCHEDULED"}}
    return stack.api(f"/deployments/{pipeline(stack)}/create_flow_run", asked)["id"]


def names(stack, run_id):
    """The names of the states that a run had, in their order, waiting for a slot left out."""
    found = [state["name"] for state in stack.states(run_id)]
    return [name for name, _ in itertools.groupby(found) if name != "AwaitingConcurrencySlot"]


def is_over(stack, run_id):
    return names(stack, run_id)[-1] in OVER


def running_span(stack, run_id):
    """When a run that ran once was running."""
    (span,) = [
        (state["timestamp"], after["timestamp"])
        for state, after in itertools.pairwise(stack.states(run_id))
        if state["type"] == "RUNNING"
    ]
    return span


@pytest.fixture(scope="module")
def first_runs(stack):
    """Two runs that were asked for, by the API and by the command line, and one by a schedule, on one worker."""
    deployment = pipeline(stack)
    soon = {"interval": 3600, "anchor_date": (datetime.now(UTC) + timedelta(seconds=15)).isoformat(), "timezone": "UTC"}
    stack.api(f"/deployments/{deployment}/schedules", [{"schedule": soon, "active": True, "parameters": small(200)}])

    def begun_by_schedule():
        wanted = {"deployment_id": {"any_": [deployment]}, "state": {"type": {"any_": ["RUNNING", "COMPLETED"]}}}
        runs = stack.api("/flow_runs/filter", {"flow_runs": wanted})
        return [run["id"] for run in runs if run["auto_scheduled"]]

    asked_for = start(stack, 200)
    with stack.worker("first"):
        command = ("prefect", "--no-prompt", "deployment", "run", "full-pipeline/local", "--watch", "--param")
        watched = stack.call(*command, f"config={json.dumps(small(200)['config'])}")
        assert "Completed" in watched
        ids = re.findall(r"UUID: (\S+)", watched)
        (scheduled, *_) = stack.wait_for(begun_by_schedule)
        for run in (asked_for, *ids, scheduled):
            stack.wait_for(lambda run=run: is_over(stack, run))
    return asked_for, *ids, scheduled


@pytest.fixture(scope="module")
def survivor(stack, first_runs):
    """A run whose worker was killed with everything that it had started, and that another worker took up."""
    movies = Path(stack.environment["GENREFLOW_DATA_DIR"]) / "clean" / "clean.stage.json"
    before = movies.stat().st_mtime_ns

    def cleaned_anew():
        with contextlib.suppress(FileNotFoundError):  # as long as the stage works
            return movies.stat().st_mtime_ns != before

    run = start(stack, 1500)
    with stack.worker("doomed") as worker:
        stack.wait_for(cleaned_anew)
        for process in (worker, *worker.children(recursive=True)):
            process.kill()
    assert names(stack, run)[-1] == "Running"
    with stack.taken_for_crashed(run):
        stack.wait_for(lambda: names(stack, run)[-1] == "AwaitingRetry")
    with stack.worker("heir"):
        stack.wait_for(lambda: is_over(stack, run))
    return run


def test_scheduled_runs_and_others_keep_to_the_limit(stack, first_runs):
    for run in first_runs:
        assert names(stack, run)[-1] == "Completed", stack.states(run)[-1]["message"]
    spans = sorted(running_span(stack, run) for run in first_runs)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    assert "AwaitingConcurrencySlot" in {state["name"] for run in first_runs for state in stack.states(run)}


def test_runs_give_signs_of_life(stack, first_runs):
    """Which the automation waits for; every 30 seconds, and the first at once."""
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "occurred": {"since": "2026-01-01T00:00:00Z"}}
    events = stack.api("/events/filter", {"filter": wanted, "limit": 50})["events"]
    labels = {each["resource"]["prefect.resource.id"]: str(each["related"]) for each in events}
    for run in first_runs:
        assert "prefect.tag.genreflow" in labels[f"prefect.flow-run.{run}"]


def test_bad_parameters_are_refused_before_the_run(stack):
    done = stack.ask("prefect", "deployment", "run", "train/local", "--param", 'config={"runner": "rocket"}')
    assert done.returncode != 0
    assert "rocket" in done.stdout + done.stderr


def test_run_of_a_dead_worker_goes_on_from_what_was_done(stack, survivor):
    assert names(stack, survivor)[-7:] == [
        "Running", "Crashed", "AwaitingRetry", "Pending", "Submitting", "Running", "Completed",
    ]  # fmt: skip
    log = max((Path(stack.environment["GENREFLOW_DATA_DIR"]) / "logs").glob("*.log"), key=lambda path: path.name)
    assert "clean/clean: unchanged, skipped" in log.read_text(encoding="utf-8")


def test_crash_is_told(stack, survivor):
    stack.wait_for(lambda: any(survivor in body.decode() for body in stack.told))
    (told,) = [message for message in map(json.loads, stack.told) if message["run_id"] == survivor]
    assert (told["flow"], told["state"]) == ("full-pipeline", "Crashed")
    assert told["message"] == "No heartbeat for two minutes."
    assert told["url"].endswith(survivor)
    assert "s3cret" not in stack.call("prefect", "block", "inspect", "webhook/genreflow-notify")


def test_everything_is_in_postgresql(stack, survivor, first_runs):
    client = mlflow.MlflowClient(stack.mlflow_uri, stack.mlflow_uri)
    experiment = client.get_experiment_by_name("genreflow")
    runs = client.search_runs([experiment.experiment_id])
    ended = sorted((run.data.tags["genreflow.kind"], run.info.status) for run in runs)
    finished = [("pipeline", "FINISHED")] * 4
    assert [entry for entry in ended if entry[0] == "pipeline"] == [*finished, ("pipeline", "KILLED")]
    assert ended.count(("model", "FINISHED")) == 4
    assert int(stack.database("mlflow", "select count(*) from runs")) == len(runs)
    completed = stack.database("prefect", "select id from flow_run where state_type = 'COMPLETED'").split()
    assert {survivor, *first_runs} <= set(completed)


def test_champion_is_fetched_through_the_server(stack, survivor):
    client = mlflow.MlflowClient(stack.mlflow_uri, stack.mlflow_uri)
    champion = client.get_model_version_by_alias("movie-genre-classifier", "champion")
    assert client.get_run(champion.run_id).info.artifact_uri.startswith("mlflow-artifacts:")
    answer = stack.call("python", "flows/predict.py", "--text", "A detective hunts a killer through the city.")
    assert "█" in answer


def test_mlflow_answers_only_to_the_names_that_it_goes_by(stack):
    url = f"{stack.mlflow_uri}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(url, trust_env=False, headers={"Host": "mlflow:5000"}).status_code == 200
    assert httpx.get(url, trust_env=False, headers={"Host": "elsewhere.example"}).status_code == 403


def test_a_failed_run_that_is_retried_goes_on_from_what_was_done(stack, survivor):
    """As by the button on its page."""
    obstacle = Path(stack.environment["GENREFLOW_DATA_DIR"]) / "results" / "leaderboard.csv"
    obstacle.unlink()
    (obstacle / "full").mkdir(parents=True)
    with stack.worker("patient"):
        run = start(stack, 250)
        stack.wait_for(lambda: is_over(stack, run))
        assert names(stack, run)[-2:] == ["Running", "Failed"]  # at once, since that does not heal
        shutil.rmtree(obstacle)
        stack.api(
            f"/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
        )
        stack.wait_for(lambda: names(stack, run)[-1] == "Completed")
    tasks = stack.api("/task_runs/filter", {"task_runs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
    states = {name: [each["state_name"] for each in tasks if each["name"] == name] for name in ("clean", "leaderboard")}
    assert sorted(states["clean"]) == ["Cached", "Completed"]
    assert sorted(states["leaderboard"]) == ["Completed", "Failed"]
