"""The example of an own table through the whole pipeline: labels and fields of its own, CSV and parquet alike."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from flows.cli import parse_command
from flows.config import PipelineConfig, PredictConfig, PrepareConfig
from flows.full_pipeline import full_pipeline
from flows.predict import predict
from flows.prepare import prepare
from tasks.core.errors import ConfigError, DataError, SourceError
from tasks.core.settings import PROJECT_ROOT, DataPaths, data_paths, settings

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = pytest.mark.filterwarnings("default")

TICKETS = PROJECT_ROOT / "deployments" / "examples" / "tickets.csv"
TOPICS = ["account", "app", "billing", "defect", "delivery", "privacy", "refund"]
MODELS = ("nb-counts", "logreg-fields")
CHAMPION = "models:/own-table@champion"


@dataclass(frozen=True)
class OwnRun:
    """A pipeline run on the example, in folders of its own."""

    paths: DataPaths
    tracking_uri: str


@pytest.fixture(scope="module")
def own_run(prefect_harness: None, settings_in, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRun]:
    with settings_in(tmp_path_factory.mktemp("own-table")):
        full_pipeline(config=PipelineConfig(preset="own-table", models=MODELS, pictures="all"))
        logging.getLogger("alembic").setLevel(logging.WARNING)
        yield OwnRun(data_paths(), settings().tracking_uri)


def scores_of(paths: DataPaths, model: str) -> pl.DataFrame:
    return pl.read_parquet(paths.models / model / "scores_test.parquet").sort("movie_id")


def test_the_labels_of_the_table_are_told(own_run):
    assert pl.read_csv(own_run.paths.models / "nb-counts" / "per_genre.csv")["genre"].sort().to_list() == TOPICS
    leaderboard = pl.read_csv(own_run.paths.results / "leaderboard.csv")
    assert set(leaderboard["model"]) == set(MODELS)
    assert (leaderboard["test_jaccard"] > 0.5).all()  # by chance it is less than 0.3
    page = (own_run.paths.results / "report.html").read_text(encoding="utf-8")
    assert "privacy" in page
    assert (own_run.paths.explore / "clean" / "findings.json").is_file()
    assert not (own_run.paths.explore / "raw").exists()
    assert not own_run.paths.raw.exists()


def test_the_pictures_of_models_are_in_their_runs_if_all_are_wanted(own_run):
    client = mlflow.MlflowClient(own_run.tracking_uri)
    experiment = client.get_experiment_by_name("own-table")
    for run in client.search_runs([experiment.experiment_id], "tags.`genreflow.kind` = 'model'"):
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert names >= {"confusion.svg", "confusion.png", "calibration.svg", "calibration.png"}


def test_it_has_a_champion_of_its_own(own_run):
    client = mlflow.MlflowClient(own_run.tracking_uri)
    assert [model.name for model in client.search_registered_models()] == ["own-table"]
    run = client.get_run(client.get_model_version_by_alias("own-table", "champion").run_id)
    assert run.data.tags["genreflow.source"] == str(TICKETS)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_predicted_of_the_file_is_what_was_scored_of_the_table(own_run, tmp_path, form):
    tickets = pl.read_csv(TICKETS).rename({"ticket": "movie_id", "subject": "movie_name", "body": "description"})
    clean = pl.read_parquet(own_run.paths.movies).select("movie_id", "description")
    tickets = tickets.drop("description").join(clean, on="movie_id")
    source, output = tmp_path / f"new.{form}", tmp_path / f"answers.{form}"
    tickets.write_csv(source) if form == "csv" else tickets.write_parquet(source)
    client = mlflow.MlflowClient(own_run.tracking_uri)
    experiment = client.get_experiment_by_name("own-table")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`genreflow.model` = 'logreg-fields'")
    model = run.data.tags["genreflow.model_uri"]
    predict(PredictConfig(input=str(source), output=str(output), model=model, workers=1))
    predicted = pl.read_csv(output) if form == "csv" else pl.read_parquet(output)
    expected = scores_of(own_run.paths, "logreg-fields")
    names = [f"score_{topic}" for topic in TOPICS]
    answers = expected.select("movie_id").join(predicted, on="movie_id", maintain_order="left").select(names)
    np.testing.assert_allclose(answers.to_numpy(), expected.drop("movie_id").to_numpy(), atol=2e-6)
    served = mlflow.models.get_model_info(model).signature.inputs.input_names()
    assert {"priority", "channel", "hours_open"} <= set(served)


def test_parquet_with_lists_gives_the_same_table(own_run, tmp_path):
    before = own_run.paths.movies.read_bytes(), own_run.paths.splits.read_bytes()
    tickets = pl.read_csv(TICKETS).with_columns(pl.col("topics").str.split("|"))
    tickets.write_parquet(tmp_path / "tickets.parquet")
    try:
        prepare(config=PrepareConfig(preset="own-table", source=str(tmp_path / "tickets.parquet")))
        assert (own_run.paths.movies.read_bytes(), own_run.paths.splits.read_bytes()) == before
    finally:
        prepare(config=PrepareConfig(preset="own-table"))


def test_mistakes_stop_the_pipeline_before_anything_is_trained(own_run, tmp_path):
    stamps = {path: path.stat().st_mtime_ns for path in own_run.paths.root.rglob("*.stage.json")}
    with pytest.raises(SourceError, match="no column nowhere among ticket, subject"):
        full_pipeline(config=PipelineConfig(preset="own-table", models=MODELS, table={"text": "nowhere"}))
    with pytest.raises(ConfigError, match=r"there is no file or folder .*missing\.csv"):
        full_pipeline(config=PipelineConfig(preset="own-table", models=MODELS, source=str(tmp_path / "missing.csv")))
    with pytest.raises(DataError, match="several texts"):
        full_pipeline(
            config=PipelineConfig(preset="own-table", models=["nb-counts"], table={"id": "priority", "fields": ()})
        )
    assert stamps == {path: path.stat().st_mtime_ns for path in own_run.paths.root.rglob("*.stage.json")}
    assert not list(own_run.paths.root.rglob(".unfinished-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "sample"}, "source is sample: give --source FILE.csv or FILE.parquet"),
        ({"source": "tickets.zip"}, r"source is tickets\.zip"),
        ({"source": "s3://bucket/tickets.csv"}, "copy s3://bucket/tickets.csv to this machine first"),
        ({"start_from": "clean_data"}, "not for your own table"),
        (
            {"table": {"fields": ()}, "models": ["svm-fields", "nb-counts"]},
            "svm-fields: these models read fields, but the table",
        ),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ConfigError, match=message):
        PipelineConfig.model_validate({"preset": "own-table", **options})


def test_without_fields_models_on_text_remain():
    config = PipelineConfig(preset="own-table", table={"fields": ()}, models=["nb-counts"])
    assert config.table is not None
    assert config.table.fields == ()


def test_a_mapping_is_complete(tmp_path):
    with pytest.raises(ValidationError, match=r"table\.labels"):
        PipelineConfig(source="x.csv", table={"id": "a", "text": "b"})


def test_the_command_line_maps_columns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.csv").touch()
    arguments = "--source x.csv --table.id a --table.text b --table.labels c,d --models nb-counts"
    config = parse_command(PipelineConfig, arguments.split())
    assert config.table is not None
    assert (config.table.id, config.table.text, config.table.labels) == ("a", "b", ("c", "d"))
    assert config.source == "x.csv"


def test_a_source_in_a_file_starts_from_the_folder_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(Path("/"))
    (tmp_path / "mine.csv").touch()
    (tmp_path / "mine.yaml").write_text(
        "source: mine.csv\ntable: {id: a, text: b, labels: c}\nmodels: [nb-counts]\n", encoding="utf-8"
    )
    for arguments in (["--preset", str(tmp_path / "mine.yaml")], ["--config", str(tmp_path / "mine.yaml")]):
        assert parse_command(PipelineConfig, arguments).source == str(tmp_path / "mine.csv")
