"""The first questions of a fitted decision tree as a picture, by scikit-learn's `plot_tree`."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, plot_tree

from tasks.core.errors import ModelError
from tasks.core.figures import BLUE, SVG_ONLY, Form, drawable, new_figure, picture_files, write_picture
from tasks.models.pipeline import MODEL_FILE, GenreModel
from tasks.models.train import MODEL_FOLDER
from tasks.models.vectorizers import TermVectorizer
from tasks.stage import Stage, StageResult, run_stage

PICTURE: Final = "tree"
LEVELS: Final = 3  # of questions
OTHERS_SHOWN: Final = 2  # further genres named in each node
# plot_tree's words: True where a feature is not above the threshold, (...) where the tree continues below.
_WORDS: Final = {"True": "no", "False": "yes", "(...)": "…"}
_SHADES: Final = LinearSegmentedColormap.from_list("share", ["white", BLUE])


def write_tree_picture(model_folder: Path, forms: Sequence[Form] = SVG_ONLY) -> StageResult | None:
    """Draw the first levels of a model's decision tree into its folder; None for any other model.

    Nodes are shaded by the share of the most frequent genre in train, the first on ties. The counts contain it, the
    first question, and a sentence about both.

    Raises:
        ModelError: the model is missing or damaged.
    """
    model_file = model_folder / MODEL_FOLDER / MODEL_FILE
    try:
        stored = json.loads(model_file.read_text(encoding="utf-8")).get("classifier", {})
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{model_file} is missing or damaged ({error!r}); train the model again") from error
    if not str(stored.get("estimator", "")).endswith(f".{DecisionTreeClassifier.__name__}"):
        return None
    stage = Stage(
        f"draw-{PICTURE}",
        model_folder,
        picture_files([PICTURE], forms),
        tuple(sorted(path for path in (model_folder / MODEL_FOLDER).rglob("*") if path.is_file())),
        {},
        (Path(__file__),),
        ("matplotlib", "scikit-learn"),
        removes_old=True,
    )

    def build(folder: Path) -> Mapping[str, Any]:
        tree = FittedTree(GenreModel.load(model_folder / MODEL_FOLDER))
        genre = tree.genres[int(tree.shares[0].argmax())]
        write_picture(folder, PICTURE, lambda: draw_tree(tree, genre), forms)
        return {"genre": genre, "asks_first": tree.question(0), "finding": describe_tree(tree, genre)}

    return run_stage(stage, build)


class FittedTree:
    """A decision tree with features and genres; per node the number of train `movies` and their genres' `shares`."""

    def __init__(self, model: GenreModel) -> None:
        self.tree: DecisionTreeClassifier = model.classifier.estimators_[0]
        self.genres = model.genres
        self._columns = [
            (str(name), isinstance(each, TermVectorizer))
            for each in model.vectorizers
            for name in each.get_feature_names_out()
        ]
        varying = model.classifier.varying_
        nodes = self.tree.tree_
        self.movies = nodes.n_node_samples
        self.shares = np.tile(model.classifier.constant_.astype(np.float64), (nodes.node_count, 1))
        self.shares[:, varying] = nodes.value[:, :, 1] if len(varying) > 1 else nodes.value[:, 0, 1:]

    def question(self, node: int) -> str:
        """Return the feature that a node splits on; "" for a leaf."""
        column = int(self.tree.tree_.feature[node])
        return self._columns[column][0] if column >= 0 else ""

    def children(self, node: int) -> list[tuple[int, str]]:
        """Return a node's children, each with its condition in words."""
        nodes = self.tree.tree_
        if nodes.feature[node] < 0:
            return []
        name, is_term = self._columns[nodes.feature[node]]
        if is_term:  # a term is above the threshold only in texts that contain it
            conditions = (f"with little or no “{name}”", f"with “{name}”")
        else:
            conditions = (f"{name} at most {nodes.threshold[node]:.2g}", f"{name} above {nodes.threshold[node]:.2g}")
        return list(zip((int(nodes.children_left[node]), int(nodes.children_right[node])), conditions, strict=True))


def describe_tree(tree: FittedTree, genre: str) -> str:
    """Return a sentence with the first question and the shown node that differs most from the root."""
    column = tree.genres.index(genre)
    overall = tree.shares[0, column]
    if not tree.question(0):
        return f"The tree has no splits: every movie gets {overall:.0%}, the share of {genre} in train, as its score."
    shown: list[tuple[int, tuple[str, ...]]] = [(0, ())]  # nodes of the picture, with the conditions that lead there
    for node, path in shown:
        if len(path) < LEVELS:
            shown += [(child, (*path, condition)) for child, condition in tree.children(node)]
    node, path = max(shown[1:], key=lambda each: abs(tree.shares[each[0], column] - overall))
    return (
        f"The tree first splits on “{tree.question(0)}”. {genre} is {overall:.0%} of all {tree.movies[0]:,} train "
        f"movies and {tree.shares[node, column]:.0%} of the {tree.movies[node]:,} {', '.join(path)}: the largest "
        "difference among the nodes shown."
    )


def draw_tree(tree: FittedTree, genre: str) -> Figure:
    """Draw the first levels: per node the question, the train movies, the genre's share and other frequent genres."""
    figure = new_figure(14, 5)
    FigureCanvasAgg(figure)  # plot_tree needs it to measure texts
    axes = figure.add_subplot()
    column = tree.genres.index(genre)
    drawn = plot_tree(tree.tree, max_depth=LEVELS, ax=axes, node_ids=True, label="none", impurity=False, fontsize=7)
    for annotation in drawn:
        text = annotation.get_text().strip()
        annotation.set_text(_WORDS.get(text, text))
        if number := re.match(r"#(\d+)", text):
            node = int(number[1])
            annotation.set_text(_label(tree, node, column))
            annotation.get_bbox_patch().set_facecolor(_SHADES(0.75 * float(tree.shares[node, column])))
    return figure


def _label(tree: FittedTree, node: int, column: int) -> str:
    shares: NDArray[np.float64] = tree.shares[node]
    others = sorted(set(range(len(shares))) - {column}, key=lambda other: (-shares[other], other))[:OTHERS_SHOWN]
    lines = [f"{tree.movies[node]:,} movies", f"{tree.genres[column]} {shares[column]:.0%}"]
    lines += [f"{tree.genres[other]} {shares[other]:.0%}" for other in others if shares[other] > 0]
    question = tree.question(node)
    return "\n".join(drawable(line, 24) for line in [f"“{question}”?" if question else "leaf", *lines])
