"""Models in a real MLflow store of the test's own: only what was logged comes back, and only from there."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import polars as pl
import pytest
from mlflow.exceptions import MlflowException

from tasks.core.errors import ConfigError, ModelError
from tasks.core.files import write_hashes
from tasks.core.metrics import Verdict
from tasks.core.settings import DataPaths
from tasks.decision.rules import GlobalThreshold, rules_to_json
from tasks.models import linear, spec
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.pipeline import GenreModel
from tasks.tracking import registry, runs
from tasks.tracking.registry import fetch_classifier, promote
from tasks.tracking.runs import LoggedModel, log_model

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours

TAG = "genreflow.hashes_sha256"
GENRES = ("Drama", "Horror")
GHOSTS = pl.DataFrame({"description": ["ghosts haunt a house"]})


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    """What training leaves of a model that knows two genres by their words."""
    folder = tmp_path_factory.mktemp("models") / "nb"
    (folder / "model").mkdir(parents=True)
    texts = ["ghosts haunt a house", "a mother mourns her son"] * 20
    movies = pl.DataFrame({"description": texts, "genres": [["Horror"], ["Drama"]] * 20})
    GenreModel(spec.ModelSpec(name="nb", classifier=linear.NaiveBayes()), GENRES, 1).fit(movies).save(folder / "model")
    rules = {"chosen": "fixed", "genres": GENRES, "rules": rules_to_json({"fixed": GlobalThreshold(threshold=0.5)})}
    (folder / "rules.json").write_text(json.dumps(rules), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def store(empty_database, settings_in, tmp_path_factory) -> Iterator[Path]:
    """A folder with an MLflow store for all of these tests: to log a model takes seconds."""
    root = tmp_path_factory.mktemp("store")
    (root / "mlruns").mkdir()
    shutil.copy(empty_database, root / "mlruns" / "mlflow.db")
    with settings_in(root):
        yield root


@pytest.fixture(scope="module")
def run(store):
    return runs.start_pipeline_run("test", {}, DataPaths(store / "data"), {"source": "sample"})


@pytest.fixture(scope="module")
def logged(run, model_folder) -> LoggedModel:
    """The model in the store, and champion as version 1."""
    run_id = runs.start_model_run(run, "nb", {})
    uri = log_model(run.experiment, run_id, "nb", model_folder)
    runs.end_run(run.experiment, run_id, runs.FINISHED)
    model = LoggedModel("nb", model_folder, run_id, uri)
    promote(run.experiment.client(), model, None, Verdict(True, "because"))
    return model


@pytest.fixture
def artefact(logged, tmp_path) -> Iterator[Path]:
    """What lies in the store of the model; whatever a test does to it is mended afterwards."""
    folder = Path(mlflow.artifacts.download_artifacts(logged.model_uri))
    shutil.copytree(folder, tmp_path / "whole")
    yield folder
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "whole", folder)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_same_comes_back_by_each_address(logged):
    for address in ("champion", "movie-genre-classifier/1", "movie-genre-classifier@champion", logged.model_uri):
        uri = address if address == "champion" else f"models:/{address.removeprefix('models:/')}"
        assert GenreClassifier.load(fetch_classifier(uri)).predict(GHOSTS)["genres"].to_list() == ["Horror"]


def test_a_copy_of_what_lies_elsewhere_goes_with_the_process(logged, monkeypatch):
    """As of a server, which is made believe here; what lies on this machine is read where it lies."""
    at_exit = []
    monkeypatch.setattr(registry.atexit, "register", lambda do, *words, **named: at_exit.append((do, words, named)))
    before = fetch_classifier("champion")
    assert not at_exit
    monkeypatch.setattr(registry, "is_local", lambda _: False)
    copy = fetch_classifier("champion")
    assert copy != before
    assert (copy / "rules.json").is_file()
    for do, words, named in at_exit:
        do(*words, **named)
    assert not copy.exists()


def test_every_changed_file_is_refused_by_every_door(logged, artefact):
    stored = artefact / "data" / "classifier"
    files = [path for path in sorted(stored.rglob("*")) if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".skops"}
    for path in files:
        whole = path.read_bytes()
        flip_a_bit(path)
        for address in ("champion", "models:/movie-genre-classifier/1", logged.model_uri):
            with pytest.raises(ModelError, match=rf"{path.name} was changed since it was stored"):
                fetch_classifier(address)
        with pytest.raises(ModelError, match=r"was changed since it was stored|is missing or damaged|was added"):
            mlflow.pyfunc.load_model(logged.model_uri)
        path.write_bytes(whole)
    fetch_classifier("champion")


TABLES = {
    "whole numbers": {"year": [1999, 2000], "runtime": [90, 120]},
    "numbers with gaps": {"year": [1999.0, None], "runtime": [None, None]},
    "nullable numbers": {"year": pd.array([1999, None], dtype="Int64")},
    "categories": {"certificate": pd.Categorical(["PG", None])},
    "a title that is a number": {"movie_name": [1917, 300]},
    "further columns": {"votes": [1.5, 2.0], "poster": [b"png", None]},
}


@pytest.mark.parametrize("columns", TABLES.values(), ids=TABLES)
def test_a_logged_model_takes_tables_as_people_have_them(artefact, columns):
    served = mlflow.pyfunc.load_model(str(artefact))
    texts = ["ghosts haunt a house", None]
    expected = served.predict(pd.DataFrame({"description": texts}))
    pd.testing.assert_frame_equal(served.predict(pd.DataFrame({"description": texts, **columns})), expected)


def test_descriptions_may_be_categories_or_none_and_are_no_numbers(artefact):
    served = mlflow.pyfunc.load_model(str(artefact))
    texts = ["ghosts haunt a house", "a mother mourns her son"]
    expected = served.predict(pd.DataFrame({"description": texts}))
    pd.testing.assert_frame_equal(served.predict(pd.DataFrame({"description": pd.Categorical(texts)})), expected)
    assert len(served.predict(pd.DataFrame({"description": [float("nan")]}))) == 1
    assert len(served.predict(pd.DataFrame({"description": []}))) == 0
    with pytest.raises(MlflowException, match="description, row 1: expected a text or null, not 5"):
        served.predict(pd.DataFrame({"description": [5]}))


def test_a_misspelt_parameter_and_a_missing_description_are_refused(artefact):
    served = mlflow.pyfunc.load_model(str(artefact))
    movie = pd.DataFrame({"description": ["ghosts"]})
    with pytest.raises(MlflowException, match="there is no parameter 'ruel'; there are: 'rule', 'precision'"):
        served.predict(movie, params={"ruel": "top=1"})
    assert len(served.predict(movie, params={"rule": "top=1"})) == 1
    with pytest.raises(MlflowException, match="description"):
        served.predict(movie.rename(columns={"description": "plot"}))


def test_a_file_more_is_refused(artefact):
    (artefact / "data" / "classifier" / "model" / "more.npy").write_bytes(b"")
    with pytest.raises(ModelError, match=r"more\.npy was added since the model was stored"):
        fetch_classifier("champion")


def test_hashes_that_were_changed_with_the_files_are_refused(artefact):
    stored = artefact / "data" / "classifier"
    flip_a_bit(stored / "rules.json")
    write_hashes(stored)
    with pytest.raises(ModelError, match=r"hashes\.json was changed .*compare\.py --rollback"):
        fetch_classifier("champion")


def test_data_elsewhere_is_refused(artefact, tmp_path):
    folder = artefact
    shutil.copytree(folder / "data" / "classifier", tmp_path / "elsewhere")
    described = (folder / "MLmodel").read_text(encoding="utf-8")
    (folder / "MLmodel").write_text(described.replace("data: data/classifier", f"data: {tmp_path}/elsewhere"))
    with pytest.raises(ModelError, match="was not logged by this project"):
        fetch_classifier("champion")


def test_a_model_that_was_changed_is_logged_anew(run, logged, artefact, model_folder, caplog):
    again = runs.start_model_run(run, "nb", {})
    assert log_model(run.experiment, again, "nb", model_folder) == logged.model_uri
    flip_a_bit(artefact / "data" / "classifier" / "rules.json")
    renewed = log_model(run.experiment, again, "nb", model_folder)
    assert renewed != logged.model_uri
    assert "rules.json was changed since it was stored" in caplog.text
    fetch_classifier(renewed)
    assert log_model(run.experiment, again, "nb", model_folder) == renewed  # when what came after failed


def test_models_of_earlier_releases_are_loaded_and_told(run, logged, caplog):
    client, model_id = run.experiment.client(), logged.model_uri.removeprefix("models:/")
    digest = client.get_logged_model(model_id).tags[TAG]
    assert client.get_model_version("movie-genre-classifier", "1").tags[TAG] == digest
    client.delete_logged_model_tag(model_id, TAG)
    client.delete_model_version_tag("movie-genre-classifier", "1", TAG)
    fetch_classifier("champion")
    client.set_logged_model_tags(model_id, {TAG: digest})
    client.set_model_version_tag("movie-genre-classifier", "1", TAG, digest)
    assert "logged by an earlier release, without hashes: its files cannot be checked" in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "/tmp/model",
        "../model",
        "file:///tmp/model",
        "http://127.0.0.1:9/model",
        "s3://bucket/model",
        "runs:/abc/model",
        "mlflow-artifacts:/1/models/m-1/artifacts",
        "models:/..",
        "models:/../m-1",
        "models:/name/../1",
        "models:/name/latest",
        "models://profile@databricks/name/1",
        "models:/%2e%2e/1",
        "",
    ],
)
def test_addresses_outside_of_the_store_are_refused(store, address):
    with pytest.raises(ConfigError, match="models are loaded from the MLflow store alone"):
        fetch_classifier(address)


def test_a_version_of_something_outside_of_the_store_is_refused(run, logged, artefact):
    client = run.experiment.client()
    stranger = client.create_model_version("movie-genre-classifier", artefact.as_uri(), logged.run_id)
    with pytest.raises(ModelError, match="its source is not a logged model of the store"):
        fetch_classifier(f"models:/movie-genre-classifier/{stranger.version}")


def test_a_strangers_model_is_not_loaded(run):
    with mlflow.start_run(run_id=run.run_id):
        info = mlflow.pyfunc.log_model(
            name="model", loader_module="json", data_path=str(Path(__file__)), pip_requirements=["numpy"]
        )
    with pytest.raises(ModelError, match="was not logged by this project"):
        fetch_classifier(f"models:/{info.model_id}")


def test_no_champion_yet_is_told(paths):
    with pytest.raises(ModelError, match=r"train one with `python flows/full_pipeline\.py`"):
        fetch_classifier("champion")
