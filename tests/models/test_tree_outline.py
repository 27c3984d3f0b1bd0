import json

import numpy as np
import polars as pl
import pytest

from tasks.errors import ModelError
from tasks.models import classifiers, spec
from tasks.models.elsewhere import train_in
from tasks.models.train import TrainChoices
from tasks.models.tree_outline import conditions, outline_tree

TREE = spec.ModelSpec(name="tree", classifier=classifiers.DecisionTree(max_depth=8, min_leaf=5))


@pytest.fixture
def folder(prepared):
    return train_in(prepared.root, TREE, TrainChoices(seed=1)).folder


def test_the_outline_holds_the_train_movies_of_every_node(prepared, folder, movies) -> None:
    result = outline_tree(prepared, folder, levels=3)
    outline = json.loads((folder / "tree.json").read_text(encoding="utf-8"))
    nodes = outline["nodes"]
    train = movies.head(240)
    counts = [sum(genre in genres for genres in train["genres"]) for genre in outline["genres"]]
    assert (nodes[0]["movies"], nodes[0]["genres"], nodes[0]["level"]) == (240, counts, 0)
    for place, node in enumerate(nodes):
        below = [other for other in nodes[place + 1 :] if other["level"] == node["level"] + 1]
        if node["asks"] and not node["is_cut"]:
            assert node["movies"] == below[0]["movies"] + next(
                other["movies"] for other in nodes[nodes.index(below[0]) + 1 :] if other["level"] == node["level"] + 1
            )
    word = nodes[0]["asks"]
    having = train["description"].str.split(" ").list.contains(word)
    assert nodes[1]["condition"] == f"with “{word}”"
    assert nodes[1]["movies"] == having.sum()
    assert max(node["level"] for node in nodes) == 3
    assert result.counts["nodes_shown"] == len(nodes)
    assert outline_tree(prepared, folder, levels=3).skipped


def test_deep_enough_the_leaves_are_what_the_model_scores(prepared, folder, movies) -> None:
    outline_tree(prepared, folder, levels=8)
    outline = json.loads((folder / "tree.json").read_text(encoding="utf-8"))
    shares = {tuple(np.round(np.array(n["genres"]) / n["movies"], 5)) for n in outline["nodes"] if not n["asks"]}
    scores = pl.read_parquet(folder / "scores_test.parquet").drop("movie_id")
    assert {tuple(np.round(row, 5)) for row in scores.iter_rows()} <= shares


def test_other_models_have_no_outline(prepared) -> None:
    bayes = spec.ModelSpec(name="bayes", classifier=classifiers.NaiveBayes())
    assert outline_tree(prepared, train_in(prepared.root, bayes, TrainChoices(seed=1)).folder) is None


@pytest.mark.parametrize("content", [None, "", "[]", '{"classifier": '])
def test_a_missing_or_damaged_model_is_told(prepared, folder, content) -> None:
    file = folder / "model" / "model.json"
    file.unlink() if content is None else file.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.json is missing or damaged"):
        outline_tree(prepared, folder)


def test_a_tree_that_asks_nothing_is_one_leaf(prepared) -> None:
    stump = TREE.model_copy(update={"classifier": classifiers.DecisionTree(max_depth=8, min_leaf=200)})
    folder = train_in(prepared.root, stump, TrainChoices(seed=1)).folder
    assert outline_tree(prepared, folder).counts == {"nodes_shown": 1, "questions": 0}


def test_thresholds_are_told_in_words() -> None:
    values = np.array([0.0, 0.0, 0.2, 0.5], dtype=np.float32)
    assert conditions("ghost", 0.1, values) == ("without “ghost”", "with “ghost”")
    assert conditions("ghost", 0.3, values) == (
        "with little or no “ghost” (at most 0.3)", "with much “ghost” (above 0.3)",
    )  # fmt: skip
    assert conditions("x3", -0.1, values - 1) == ("x3 at most -0.1", "x3 above -0.1")
