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

from tasks.core.errors import ConfigError, ModelError
from tasks.core.figures import BLUE, SVG_ONLY, Form, drawable, new_figure, picture_files, write_picture
from tasks.models.pipeline import MODEL_FILE, GenreModel
from tasks.models.train import MODEL_FOLDER
from tasks.models.vectorizers import TermVectorizer
from tasks.stage import Stage, StageResult, run_stage

PICTURE: Final = "tree"
LEVELS: Final = 3  # of questions
OTHERS_SHOWN: Final = 2  # further genres named in each node
# A question is answered by no where the threshold is not passed; where the tree goes on, that is below what is shown.
_WORDS: Final = {"True": "no", "False": "yes", "(...)": "…"}
_SHADES: Final = LinearSegmentedColormap.from_list("share", ["white", BLUE])


def write_tree_picture(
    model_folder: Path, genre: str | None = None, forms: Sequence[Form] = SVG_ONLY
) -> StageResult | None:
    """Draw the first levels of a model's decision tree, shaded by the share of one genre; None for any other model.

    The counts name the genre, the first question, and the finding: what it says about the genre, in words.

    Args:
        model_folder: holds `model/`.
        genre: whose share shades the nodes; none: the one that most train movies have, the first on ties.
        forms: of the picture.

    Raises:
        ModelError: the model is missing or damaged.
        ConfigError: the model does not predict such a genre.
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
        {"genre": genre},
        (Path(__file__),),
        ("matplotlib", "scikit-learn"),
        removes_old=True,
    )

    def build(folder: Path) -> Mapping[str, Any]:
        tree = FittedTree(GenreModel.load(model_folder / MODEL_FOLDER))
        shown = genre or tree.genres[int(tree.shares[0].argmax())]
        if shown not in tree.genres:
            raise ConfigError(f"{model_folder.name}: no genre is named {shown!r}; there are: {', '.join(tree.genres)}")
        write_picture(folder, PICTURE, lambda: draw_tree(tree, shown), forms)
        return {"genre": shown, "asks_first": tree.question(0), "finding": describe_tree(tree, shown)}

    return run_stage(stage, build)


class FittedTree:
    """A decision tree with what its columns and labels stand for.

    Attributes:
        tree: as scikit-learn fitted it.
        genres: of the model.
        shares: (nodes × genres), of the train movies that come to a node.
        movies: (nodes,) how many these are.
    """

    def __init__(self, model: GenreModel) -> None:
        self.tree: DecisionTreeClassifier = model.classifier.estimators_[0]
        self.genres = model.genres
        self._names = [str(name) for each in model.vectorizers for name in each.get_feature_names_out()]
        self._are_terms = [
            isinstance(each, TermVectorizer) for each in model.vectorizers for _ in each.get_feature_names_out()
        ]
        varying = model.classifier.varying_
        nodes = self.tree.tree_
        self.movies = nodes.n_node_samples
        self.shares = np.tile(model.classifier.constant_.astype(np.float64), (nodes.node_count, 1))
        self.shares[:, varying] = nodes.value[:, :, 1] if len(varying) > 1 else nodes.value[:, 0, 1:]

    def question(self, node: int) -> str:
        """Return the feature that a node asks for; "" for a leaf."""
        column = int(self.tree.tree_.feature[node])
        return self._names[column] if column >= 0 else ""

    def children(self, node: int) -> list[tuple[int, str]]:
        """Return a node's children, and in words what sends a movie there."""
        nodes = self.tree.tree_
        if not self.question(node):
            return []
        if self._are_terms[nodes.feature[node]]:  # which weigh more than the threshold only in texts where they are
            ways = (f"with little or no “{self.question(node)}”", f"with “{self.question(node)}”")
        else:
            asked, threshold = self.question(node), f"{nodes.threshold[node]:.2g}"
            ways = (f"{asked} at most {threshold}", f"{asked} above {threshold}")
        return list(zip((int(nodes.children_left[node]), int(nodes.children_right[node])), ways, strict=True))


def describe_tree(tree: FittedTree, genre: str) -> str:
    """Return in one sentence what the picture shows: the first question, and the share farthest from the root's."""
    column = tree.genres.index(genre)
    overall = tree.shares[0, column]
    if not tree.question(0):
        return f"The tree asks nothing: {overall:.0%} of all train movies are {genre}, and that is its score for all."
    shown = [(node, way) for node, way in _shown(tree) if way]
    node, way = max(shown, key=lambda each: abs(tree.shares[each[0], column] - overall))
    return (
        f"The tree first asks for “{tree.question(0)}”. {genre} is {overall:.0%} of all {tree.movies[0]:,} train "
        f"movies and {tree.shares[node, column]:.0%} of the {tree.movies[node]:,} {', '.join(way)}, the farthest from "
        "that of all shown."
    )


def _shown(tree: FittedTree) -> list[tuple[int, tuple[str, ...]]]:
    """Return the nodes that the picture shows, the root first, and how one comes to each."""
    found: list[tuple[int, tuple[str, ...]]] = []
    waiting: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while waiting:
        node, way = waiting.pop(0)
        found.append((node, way))
        if len(way) < LEVELS:
            waiting += [(child, (*way, condition)) for child, condition in tree.children(node)]
    return found


def draw_tree(tree: FittedTree, genre: str) -> Figure:
    """Draw the first levels: in each node its question, its train movies, the genre's share, other frequent genres."""
    figure = new_figure(14, 5)
    FigureCanvasAgg(figure)  # by which plot_tree measures texts
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
