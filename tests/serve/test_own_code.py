"""`flows/serve.py` answers with this project's code, whatever the artefact carries along."""

import sys

import polars as pl
import pytest
from starlette.testclient import TestClient

from tasks.models.genre_classifier import GenreClassifier
from tasks.models.served import load_served
from tasks.tracking.registry import fetch_classifier, scoring_app

pytestmark = pytest.mark.filterwarnings("default")  # MLflow warns in depths that are not ours


def test_the_code_of_the_artefact_does_not_come_on_the_path(registry):
    artefact = fetch_classifier("champion").parents[1]
    assert (artefact / "code" / "tasks").is_dir()
    rows = {"description": ["a haunted house", "a robot"]}
    app = TestClient(scoring_app("champion", load_served))
    answer = app.post("/invocations", json={"dataframe_records": pl.DataFrame(rows).to_dicts()})
    classifier = GenreClassifier.load(registry.folders["logreg-words"])
    assert answer.json()["predictions"] == classifier.predict(pl.DataFrame(rows)).to_dicts()
    assert not [entry for entry in sys.path if entry.startswith(str(artefact))]
