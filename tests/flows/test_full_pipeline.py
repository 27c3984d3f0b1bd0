"""The whole pipeline on a small sample: what it leaves on disk and in MLflow, and how it goes on from there."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import polars as pl
import pytest
from mlflow.entities import Run

from flows.compare import compare
from flows.config import CompareConfig, PredictConfig
from flows.full_pipeline import full_pipeline
from flows.model_runs import ModelsFailedError
from flows.predict import predict, predict_command
from tasks.core.errors import ConfigError, DataError, ModelError
from tasks.core.settings import PROJECT_ROOT
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.linear import LogisticRegression
from tasks.models.spec import EnsembleSpec, ModelSpec
from tasks.models.vectorizers import BagOfWords
from tasks.tracking.registry import fetch_classifier

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = pytest.mark.filterwarnings("default")

TRAINED = ("logreg-tfidf", "logreg-lemmas", "svm-title")
BROKEN = "nb-counts"


def runs_of(finished, kind: str, experiment_name: str = "test") -> list[Run]:
    client = mlflow.MlflowClient(finished.tracking_uri)
    experiment = client.get_experiment_by_name(experiment_name)
    return client.search_runs([experiment.experiment_id], f"tags.`genreflow.kind` = '{kind}'", order_by=["start_time"])


def sidecar_times(finished) -> dict[str, int]:
    """Return when each stage ran last; those of the results, and explanations, follow what was compared last."""
    followers = {f"{name}.stage.json" for name in ("explain", "importance", "draw-importances")}
    sidecars = [path for path in finished.paths.root.rglob("*.stage.json") if path.parent != finished.paths.results]
    return {str(path): path.stat().st_mtime_ns for path in sidecars if path.name not in followers}


def test_every_stage_leaves_its_files_and_sidecar(finished):
    paths = finished.paths
    for file in (paths.movies, paths.clean_csv, paths.genres_json, paths.conllu, paths.tokens, paths.splits):
        assert file.stat().st_size > 0
    names = {path.name for path in paths.root.rglob("*.stage.json")}
    assert names >= {f"{stage}.stage.json" for stage in ("acquire", "clean", "annotate", "split", "features", "train")}
    assert not list(paths.root.rglob(".unfinished-*"))


def test_one_parent_and_one_child_a_model(finished):
    (parent,) = runs_of(finished, "pipeline")[:1]
    children = [run for run in runs_of(finished, "model") if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    assert sorted(run.info.run_name for run in children) == sorted([*TRAINED, BROKEN])
    assert parent.info.status == "FAILED"
    assert {run.info.run_name: run.info.status for run in children} == {
        **dict.fromkeys(TRAINED, "FINISHED"),
        BROKEN: "FAILED",
    }


def test_comparing_again_on_its_own_finds_the_store_and_keeps_the_champion(finished, tmp_path):
    finished.is_last_again()
    registry = mlflow.MlflowClient(finished.tracking_uri, finished.tracking_uri)
    champion = registry.get_model_version_by_alias("movie-genre-classifier", "champion")
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"  # a fresh process points nowhere
    mlflow.set_tracking_uri(elsewhere)
    mlflow.set_registry_uri(elsewhere)
    compare(CompareConfig(report=False))
    assert mlflow.get_registry_uri() == finished.tracking_uri
    now = registry.get_model_version_by_alias("movie-genre-classifier", "champion")
    assert (now.version, now.source) == (champion.version, champion.source)
    assert not (tmp_path / "elsewhere.db").exists()


def test_children_carry_what_they_share(finished):
    (parent,) = runs_of(finished, "pipeline")[:1]
    child = next(run for run in runs_of(finished, "model") if run.info.run_name == "svm-title")
    shared = {name: parent.data.params[name] for name in ("source", "preset", "seed", "train_on")}
    own = {"classifier": "linear-svm", "classifier.C": "0.2", "vectors": "bag-of-words", "bag-of-words.max_n": "2"}
    assert child.data.params.items() >= (shared | own).items()
    assert len(child.data.params) < 20
    shared = ("genreflow.source", "genreflow.preset", "genreflow.data_hash", "genreflow.git_revision")
    for tag in shared:
        assert child.data.tags[tag] == parent.data.tags[tag]
    assert child.data.tags["genreflow.source"] == "sample"
    names = {dataset.dataset.name for dataset in child.inputs.dataset_inputs}
    assert names == {"sample: train", "sample: validation", "sample: test"}


def test_metrics_have_the_same_names_in_every_child(finished):
    children = [run for run in runs_of(finished, "model") if run.info.status == "FINISHED"]
    (names,) = {frozenset(run.data.metrics) for run in children[: len(TRAINED)]}
    assert names >= {
        "val/jaccard", "test/jaccard", "test/f1_macro", "verbose/test/hamming_loss", "verbose/test/signed_overlap",
        "verbose/test/ece_raw", "verbose/test/ece_calibrated", "verbose/rules/fixed/test/jaccard",
        "verbose/genres/Horror/test/f1", "time/fit_s", "time/predict_docs_per_s", "size/model_mb",
    }  # fmt: skip
    assert len([name for name in names if not name.startswith("verbose/")]) == 14
    ranks = [run.data.tags["genreflow.rank"] for run in children if run.data.tags["genreflow.is_best"] == "true"]
    assert set(ranks) == {"1"}


def test_a_logged_model_has_the_metrics_of_its_run(finished):
    child = next(run for run in runs_of(finished, "model") if run.info.run_name == "logreg-tfidf")
    client = mlflow.MlflowClient(finished.tracking_uri)
    model = client.get_logged_model(child.data.tags["genreflow.model_uri"].removeprefix("models:/"))
    found = {metric.key: metric.value for metric in model.metrics if metric.run_id == child.info.run_id}
    assert found == child.data.metrics
    (jaccard,) = [m for m in model.metrics if m.key == "test/jaccard" and m.run_id == child.info.run_id]
    assert (jaccard.dataset_name, jaccard.dataset_digest[16:]) == ("sample: test", "-test")
    assert model.name == "logreg-tfidf"


def test_artifacts_of_a_child(finished):
    child = next(run for run in runs_of(finished, "model") if run.info.run_name == "logreg-tfidf")
    client = mlflow.MlflowClient(finished.tracking_uri)
    files = {file.path for file in client.list_artifacts(child.info.run_id)}
    assert files >= {
        "scores_test.parquet", "scores_validation.parquet", "per_genre.csv", "rules.json", "train.log",
    }  # fmt: skip


def test_failure_is_recorded_with_its_traceback_and_told_in_one_line(finished):
    child = next(run for run in runs_of(finished, "model") if run.info.run_name == BROKEN)
    text = mlflow.artifacts.load_text(f"{child.info.artifact_uri}/error.txt")
    assert "Traceback" in text
    assert "lower min_movies" in child.data.tags["genreflow.error"]
    lines = str(finished.error).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"  {BROKEN}: ModelError: ")


def test_best_on_validation_is_champion(finished):
    leaderboard = pl.read_csv(finished.paths.results / "leaderboard.csv")
    assert sorted(leaderboard["model"].to_list()) == sorted(TRAINED)
    assert leaderboard["val_jaccard"].is_sorted(descending=True)
    version = mlflow.MlflowClient(finished.tracking_uri).get_model_version_by_alias(
        "movie-genre-classifier", "champion"
    )
    child = next(run for run in runs_of(finished, "model") if run.info.run_id == version.run_id)
    assert child.info.run_name == leaderboard["model"][0]


def test_what_was_compared_is_in_mlflow(finished):
    finished.is_last_again()
    (parent,) = runs_of(finished, "pipeline")[:1]
    client = mlflow.MlflowClient(finished.tracking_uri)
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files >= {"leaderboard.csv", "leaderboard.md", "leaderboard.json", "pareto.svg", "versus.md", "versus.csv"}
    assert parent.data.tags["genreflow.promotion"] in ("there was no champion", "it is still the best")
    assert {file.path for file in client.list_artifacts(parent.info.run_id, "report")} >= {"report/report.html"}
    table = json.loads(mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/leaderboard.json"))
    assert len(table["data"]) == len(TRAINED)
    compare(CompareConfig(report=False))
    again = json.loads(mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/leaderboard.json"))
    assert again == table  # and no rows more


def test_chosen_runs_are_compared_without_promotion(finished, caplog):
    finished.is_last_again()
    caplog.set_level("INFO", "flows")
    registry = mlflow.MlflowClient(finished.tracking_uri, finished.tracking_uri)
    before = registry.get_model_version_by_alias("movie-genre-classifier", "champion").version
    two = [run.info.run_id for run in runs_of(finished, "model") if run.info.status == "FINISHED"][:2]
    compare(CompareConfig(runs=tuple(two)))
    assert pl.read_csv(finished.paths.results / "leaderboard.csv").height == 2
    assert "the champion is not challenged" in caplog.text
    assert registry.get_model_version_by_alias("movie-genre-classifier", "champion").version == before
    (comparison,) = runs_of(finished, "comparison", "genreflow")
    assert comparison.info.status == "FINISHED"
    with pytest.raises(ModelError, match="does not record a version before it"):
        compare(CompareConfig(rollback=True))
    compare(CompareConfig(report=False))  # the results are those of the last run again


def test_champion_loads_without_this_project(finished, tmp_path):
    client = mlflow.MlflowClient(finished.tracking_uri)
    uri = client.get_model_version_by_alias("movie-genre-classifier", "champion").source
    folder = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path))
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import sys, importlib.util, json\n"
        f"sys.path = [p for p in sys.path if p not in ('', {str(PROJECT_ROOT)!r})]\n"
        "assert importlib.util.find_spec('tasks') is None, 'the project is still importable'\n"
        "import mlflow.pyfunc, mlflow.sklearn, pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({folder!r})\n"
        "rows = pd.DataFrame({'description': ['A ghost haunts the old house.', 'A detective hunts a killer.', '']})\n"
        "two = model.predict(rows, params={'rule': 'top=2'})['genres'].tolist()\n"
        "out = model.predict(rows)\n"
        f"pipeline = mlflow.sklearn.load_model({folder!r})\n"
        "scores = pipeline.predict_proba(rows['description'].tolist()).tolist()\n"
        "assert scores == out.filter(like='score_').values.tolist()\n"
        "print(json.dumps([out['genres'].tolist(), scores, two]))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(probe)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    genres, scores, two = json.loads(done.stdout.splitlines()[-1])
    ours = GenreClassifier.load(fetch_classifier("champion")).predict(
        pl.DataFrame({"description": ["A ghost haunts the old house.", "A detective hunts a killer.", ""]})
    )
    assert genres == ours["genres"].to_list()
    assert [len(row.split(", ")) for row in two] == [2, 2, 2]
    assert all(genres)
    flat = [score for row in scores for score in row]
    assert flat == pytest.approx([score for row in ours.drop("genres").rows() for score in row])


def test_unchanged_rerun_skips_every_stage_and_reuses_the_models(finished):
    before = sidecar_times(finished)
    champion = mlflow.MlflowClient(finished.tracking_uri).get_model_version_by_alias(
        "movie-genre-classifier", "champion"
    )
    with pytest.raises(ModelsFailedError):
        full_pipeline(config=finished.config)
    assert sidecar_times(finished) == before
    parent = runs_of(finished, "pipeline")[-1]
    children = [run for run in runs_of(finished, "model") if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    first = {run.info.run_name: run for run in runs_of(finished, "model")[: len(TRAINED) + 1]}
    for child in children:
        if child.info.status == "FINISHED":
            old = first[child.info.run_name]
            assert child.data.tags["genreflow.model_uri"] == old.data.tags["genreflow.model_uri"]
            assert child.data.metrics == old.data.metrics
    again = mlflow.MlflowClient(finished.tracking_uri).get_model_version_by_alias("movie-genre-classifier", "champion")
    assert again.version == champion.version


def test_file_is_scored_in_its_order(finished, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(
        "movie_id,movie_name,description,year\n"
        'b,"The Ghost","A ghost haunts the old house.",1999\n'
        'a,,"A detective, tired,\nhunts a killer.",\n',
        encoding="utf-8",
    )
    assert predict(PredictConfig(input=str(source), output=str(target))) == 2
    scored = pl.read_csv(target)
    assert scored["movie_id"].to_list() == ["b", "a"]
    genres = json.loads(finished.paths.genres_json.read_text(encoding="utf-8"))
    assert scored.columns == ["movie_id", "genres", *(f"score_{genre}" for genre in genres)]
    assert all(set(row.split(", ")) <= set(genres) for row in scored["genres"])


def test_what_is_new_in_a_folder_is_predicted_and_bad_files_fail_the_run(finished, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.csv").write_text("movie_id,description\na,A ghost.\n", encoding="utf-8")
    config = PredictConfig(input=f"{tmp_path}/in", output=f"{tmp_path}/out")
    assert [predict(config), predict(config)] == [1, 0]
    (tmp_path / "in" / "bad.csv").write_text("movie_id,description\na\n", encoding="utf-8")
    (tmp_path / "in" / "new.csv").write_text("movie_id,description\nb,A ghost.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.csv, line 2: 1 fields, expected 2"):
        predict(config)
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {"good.csv", "new.csv"}


def test_one_text_is_answered(finished, capsys):
    assert predict_command(PredictConfig(text="A ghost haunts the old house.", title="The Haunting")) == 0
    first, _, *scores = capsys.readouterr().out.splitlines()
    assert len(scores) == len(json.loads(finished.paths.genres_json.read_text(encoding="utf-8")))
    assert {line.split()[1] for line in scores if line.startswith("*")} == set(first.split(", "))
    assert predict_command(PredictConfig(text="A ghost haunts the old house.", rule="threshold=1,fallback=none")) == 0
    first, _, *scores = capsys.readouterr().out.splitlines()
    assert first == "none of the genres"
    assert not any(line.startswith("*") for line in scores)


@pytest.mark.usefixtures("finished")
def test_unknown_rule_and_model_are_refused():
    with pytest.raises(ConfigError, match=r"no rule is named 'dice'; there are: fixed, .*, global, "):
        predict_command(PredictConfig(text="x", rule="dice"))
    with pytest.raises(ModelError, match="check the address"):
        predict_command(PredictConfig(text="x", model="models:/movie-genre-classifier/999"))


def test_scores_do_not_depend_on_the_runner(finished):
    folders = [finished.paths.models / name for name in TRAINED]
    scores = {path: path.read_bytes() for folder in folders for path in folder.glob("scores_*.parquet")}
    assert len(scores) == 2 * len(TRAINED)
    for folder in {path.parent for path in scores}:
        (folder / "train.stage.json").unlink()
    changed = {"runner": "process", "workers": 1, "models": TRAINED, "model_params": {}, "report": False}
    full_pipeline(config=finished.config.model_copy(update=changed))
    assert {path: path.read_bytes() for path in scores} == scores
    assert Path(finished.paths.last_run).is_file()


def test_an_ensemble_whose_member_has_no_features_fails_with_the_member_s_reason(finished):
    """And where no model is left, the reasons are told instead of a comparison of nothing."""
    own = (
        ModelSpec(name="mine", representations=(BagOfWords(min_movies=99_999),), classifier=LogisticRegression()),
        EnsembleSpec(name="both", members=("mine", "nb-counts")),
    )
    params = {BROKEN: {"min_movies": 100_000}}
    config = finished.config.model_copy(update={"models": ("both",), "own_models": own, "model_params": params})
    with pytest.raises(ModelsFailedError) as raised:
        full_pipeline(config=config)
    lines = str(raised.value).splitlines()
    assert lines[0].startswith("3 model(s) failed")
    assert sorted(line.split(":")[0].strip() for line in lines[1:]) == ["both", "mine", "nb-counts"]
    assert all("ModelError: no word" in line for line in lines[1:])


def test_a_genre_that_no_movie_has_is_told_before_anything_is_fitted(finished):
    n_runs = len(runs_of(finished, "model"))
    with pytest.raises(ConfigError, match="no movie has the genre Horor"):
        full_pipeline(config=finished.config.model_copy(update={"genres": ("Horor",)}))
    assert len(runs_of(finished, "model")) == n_runs
