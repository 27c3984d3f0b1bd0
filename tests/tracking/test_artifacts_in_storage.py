"""Models in an MLflow store whose artifacts are in object storage: a server on loopback."""

import json

import mlflow
import polars as pl
import pytest

from tasks.models import linear, spec
from tasks.models.pipeline import GenreModel
from tasks.tracking import runs
from tasks.tracking.registry import fetch_classifier
from tasks.tracking.runs import log_model
from tasks.tracking.store import open_experiment

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours


def test_a_model_is_logged_to_a_bucket_and_fetched_from_it(bucket, paths, tmp_path):
    movies = pl.DataFrame({"description": ["ghosts haunt", "sheriff rides"] * 5, "genres": [["Horror"], ["Drama"]] * 5})
    model = GenreModel(spec.ModelSpec(name="nb", classifier=linear.NaiveBayes()), ("Drama", "Horror"), 1)
    (tmp_path / "nb" / "model").mkdir(parents=True)
    model.fit(movies).save(tmp_path / "nb" / "model")
    (tmp_path / "nb" / "rules.json").write_text(json.dumps({"chosen": "fixed"}), encoding="utf-8")
    client = open_experiment("first").client()  # makes the store
    client.create_experiment("test", artifact_location="s3://movies/mlflow")
    experiment = open_experiment("test")
    run = client.create_run(experiment.experiment_id)

    uri = log_model(experiment, run.info.run_id, "nb", tmp_path / "nb")
    runs.log_files(experiment, run.info.run_id, [tmp_path / "nb" / "rules.json"])

    keys = [found.key for found in bucket.objects.all()]
    assert any(key.startswith("mlflow/") and key.endswith("classifier/model/model.json") for key in keys)
    assert any(key.endswith(f"{run.info.run_id}/artifacts/rules.json") for key in keys)
    fetched = fetch_classifier(uri)
    assert not str(fetched).startswith(str(tmp_path / "mlruns"))
    assert GenreModel.load(fetched / "model").scores(movies).tolist() == model.scores(movies).tolist()
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/rules.json") == {"chosen": "fixed"}
