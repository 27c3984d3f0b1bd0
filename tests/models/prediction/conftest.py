"""A classifier of the small world, stored as a logged model is."""

import json

import pytest

from tasks.core.files import write_hashes
from tasks.core.predictions import truth_matrix
from tasks.decision.rules import rules_to_json
from tasks.decision.thresholds import fit_rules
from tasks.models import linear, spec
from tasks.models.pipeline import GenreModel

GENRES = ("Drama", "Horror", "Western")


@pytest.fixture(scope="session")
def stored_once(movies, tmp_path_factory):
    """The folder of a stored classifier, which nobody changes."""
    folder = tmp_path_factory.mktemp("stored")
    made_of = spec.ModelSpec(name="m", classifier=linear.LogisticRegression(C=10))
    model = GenreModel(made_of, GENRES, 1).fit(movies)
    rules = fit_rules(model.scores(movies), truth_matrix(movies["genres"].to_list(), GENRES))
    (folder / "model").mkdir()
    model.save(folder / "model")
    text = json.dumps({"chosen": "global", "genres": GENRES, "rules": rules_to_json(rules)})
    (folder / "rules.json").write_text(text, encoding="utf-8")
    write_hashes(folder)
    return folder
