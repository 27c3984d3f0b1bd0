"""The command that removes what is old, on a store and a data folder of the test's own."""

import logging
import os
from types import SimpleNamespace

import mlflow
import pytest

from flows.config import TidyConfig
from flows.tidy import find_removable, tidy
from tasks.core.settings import DataPaths, settings
from tasks.stage import TEMPORARY_PREFIX, Stage, run_stage, unfinished_file
from tasks.tracking import runs

pytestmark = pytest.mark.filterwarnings("default")  # MLflow warns in depths that are not ours


NAMES = (
    "raw/drama.csv", "clean/movies.parquet", "models/svm/scores.parquet", "results/report.html", "logs/1.log",
    "logs/2.log", "logs/3.log", "compared/abc/svm/metrics.json", "features/x/terms.json", "clean/.unfinished-clean-1/a",
)  # fmt: skip


@pytest.fixture
def full(paths, monkeypatch) -> DataPaths:
    """A data folder with something of everything, in the order in which it came; the store has no old runs."""
    none = SimpleNamespace(n_pipelines=0, run_ids=(), model_ids=())
    monkeypatch.setattr("tasks.tracking.past_runs.find_old_runs", lambda *_: none)
    monkeypatch.setattr("tasks.tracking.past_runs.remove_runs", lambda _old: None)
    for age, name in enumerate(NAMES):
        path = paths.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100_000)
        os.utime(path, (age, age))
    return paths


def left(paths: DataPaths) -> set[str]:
    folders = {name.split("/")[0] for name in NAMES}
    files = (path for folder in folders for path in (paths.root / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(paths.root)) for path in files}


def test_old_logs_copies_and_half_written_files_go_and_nothing_else(full, capsys):
    assert tidy(TidyConfig(keep_runs=1)) == 0
    assert f"{full.root}: 4 files and folders, 0.4 MB" in capsys.readouterr().out
    gone = {"logs/1.log", "logs/2.log", "compared/abc/svm/metrics.json", "clean/.unfinished-clean-1/a"}
    assert left(full) == set(NAMES) - gone


def test_caches_go_when_asked_for(full):
    assert tidy(TidyConfig(keep_runs=3, caches=True)) == 0
    gone = {"compared/abc/svm/metrics.json", "features/x/terms.json", "clean/.unfinished-clean-1/a"}
    assert left(full) == set(NAMES) - gone


def test_an_empty_folder_has_no_leftovers(tmp_path):
    assert find_removable(DataPaths(tmp_path), 0, True) == []


@pytest.fixture
def three_runs(paths) -> mlflow.MlflowClient:
    """Three pipeline runs that ended, and their logs."""
    for number in range(3):
        run = runs.start_pipeline_run("genreflow", {}, paths, {})
        runs.end_run(run.experiment, run.run_id, runs.FINISHED)
        paths.logs.mkdir(parents=True, exist_ok=True)
        (paths.logs / f"{number}.log").write_text("done\n", encoding="utf-8")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow.MlflowClient(settings().tracking_uri)


def names(client: mlflow.MlflowClient) -> list[str]:
    return [run.info.run_id for run in client.search_runs([client.get_experiment_by_name("genreflow").experiment_id])]


def test_a_plan_removes_nothing_and_the_command_what_it_said(paths, three_runs, capsys):
    before = names(three_runs)
    assert tidy(TidyConfig(keep_runs=1, plan=True)) == 0
    assert "MLflow: 2 pipeline runs" in capsys.readouterr().out
    assert (names(three_runs), len(list(paths.logs.iterdir()))) == (before, 3)
    assert tidy(TidyConfig(keep_runs=1)) == 0
    assert "the runs are in MLflow's trash" in capsys.readouterr().out
    assert (names(three_runs), len(list(paths.logs.iterdir()))) == (before[:1], 1)


def test_the_trash_is_emptied_on_request(paths, three_runs):
    gone = names(three_runs)[1:]
    assert tidy(TidyConfig(keep_runs=1, purge=True)) == 0
    for run_id in gone:
        with pytest.raises(mlflow.exceptions.MlflowException, match="not found"):
            three_runs.get_run(run_id)


def test_outputs_go_and_nothing_that_a_run_cannot_make_again(paths, capsys):
    ours = Stage("clean", paths.clean, ("movies.parquet", "clean_data.csv"), (), {}, ())
    run_stage(ours, lambda folder: {name: (folder / name).write_text("ours") for name in ours.outputs})
    kept = {
        "clean/clean_data.csv": "changed since", "clean/notes.txt": "mine", "raw/drama.csv": "mine",
        "logs/mine.log": "mine", "crawl/journal.sqlite": "cost days", "search/svm.sqlite": "cost hours",
        "to_predict/new.csv": "mine",
    }  # fmt: skip
    for name, content in {**kept, "logs/20260101-000000-1.log": "a run's"}.items():
        (paths.root / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.root / name).write_text(content)
    (paths.root / "empty but mine").mkdir()
    assert tidy(TidyConfig(outputs=True, plan=True)) == 0
    assert (paths.clean / "movies.parquet").exists()
    assert "3 outputs" in capsys.readouterr().out
    assert tidy(TidyConfig(outputs=True)) == 0
    files = {str(path.relative_to(paths.root)) for path in paths.root.rglob("*") if path.is_file()}
    assert files == {*kept, ".lock"}
    assert (paths.root / "empty but mine").is_dir()
    assert "clean, crawl, logs, raw, search, to_predict" in capsys.readouterr().out


def test_an_unfinished_file_stays_while_its_writer_lives(full):
    with unfinished_file(full.results / "predictions.csv") as unfinished:
        unfinished.write_text("half")
        tidy(TidyConfig(keep_runs=1))
        assert unfinished.read_text() == "half"
    assert (full.results / "predictions.csv").read_text() == "half"
    dead = full.results / f"{TEMPORARY_PREFIX}predictions.csv-1"
    dead.write_text("half")
    tidy(TidyConfig(keep_runs=1))
    assert not dead.exists()
