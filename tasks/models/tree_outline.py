"""The first levels of a fitted decision tree in words. Owns the outline's form and its stage; draws nothing.

One tree tells all genres, so that its questions are the same for each; the shares differ.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.errors import ModelError
from tasks.models.features import read_genres, read_movies, train_rows
from tasks.models.genre_model import MODEL_FILE, GenreModel, side_by_side
from tasks.models.inputs import read_input
from tasks.models.scoring.trees import ForestScorer
from tasks.models.train import MODEL_FOLDER
from tasks.paths import DataPaths
from tasks.scores import truth_matrix
from tasks.stage import Stage, StageResult, recorded_config, run_stage

ROOM: Final = Path(__file__).parent
TREE_FILE: Final = "tree.json"
LEVELS: Final = 4  # of questions


@dataclass(frozen=True)
class OutlinedNode:
    """A node of the outline, which comes after its parent and all of the sibling before it."""

    level: int  # 0: the root
    condition: str  # what sent the movies here from the node above
    asks: str  # the feature it asks for; "" for a leaf
    is_cut: bool  # whether it asks on, below what is shown
    movies: int  # train movies that come here
    genres: tuple[int, ...]  # how many of them have each genre


@dataclass(frozen=True)
class _Grown:
    scorer: ForestScorer
    names: Sequence[str]  # of all columns
    X: sparse.csc_array  # (train movies × columns)
    Y: NDArray[np.bool_]  # (train movies × genres)


def outline_tree(paths: DataPaths, model_folder: Path, levels: int = LEVELS) -> StageResult | None:
    """Write the first levels of a model's decision tree to `tree.json`; None for a model that is no single tree.

    The file holds `genres` and `nodes` (`OutlinedNode`), the counts of the movies that the model was trained on.

    Raises:
        ModelError: the model is missing or damaged.
        DataError: its train stage left no record, or the splits do not belong to the clean table.
    """
    model_file = model_folder / MODEL_FOLDER / MODEL_FILE
    try:
        kind = json.loads(model_file.read_text(encoding="utf-8")).get("classifier", {}).get("kind")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{model_file} is missing or damaged ({error!r}); train the model again") from error
    if kind != "decision-tree":
        return None
    files = sorted(path for path in (model_folder / MODEL_FOLDER).rglob("*") if path.is_file())
    train_on = recorded_config(model_folder, "train")["train_on"]
    stage = Stage(
        name="outline_tree",
        folder=model_folder,
        outputs=(TREE_FILE,),
        inputs=(paths.movies, paths.splits, paths.genres_json, *files),
        config={"levels": levels, "train_on": train_on},
        code=(Path(__file__),),
        packages=("numpy", "scipy"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        model = GenreModel.load(model_folder / MODEL_FOLDER)
        grown = _grown(paths, model, train_on)
        start = (int(grown.scorer.trees.roots[0]), np.arange(len(grown.Y)), 0, "all train movies")
        nodes = [asdict(node) for node in _walk(grown, start, levels)]
        content = {"genres": model.genres, "nodes": nodes}
        (folder / TREE_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return {"nodes_shown": len(nodes), "questions": len(grown.scorer.trees.columns)}

    return run_stage(stage, build)


def _grown(paths: DataPaths, model: GenreModel, train_on: str) -> _Grown:
    if not isinstance(model.scorer, ForestScorer):
        raise ModelError(f"model {model.spec.name} says it is a decision tree and holds something else; train it again")
    movies = read_movies(paths)
    train = movies.filter(train_rows(movies, train_on))
    pairs = list(zip(model.vectors, model.spec.representations, strict=True))
    X = side_by_side([vectors.transform(read_input(train, model.spec.input, each)) for vectors, each in pairs])
    Y = truth_matrix(train.get_column("genres").to_list(), model.genres, ignored=read_genres(paths))
    return _Grown(model.scorer, [name for vectors, _ in pairs for name in vectors.feature_names], X.tocsc(), Y)


def _walk(grown: _Grown, place: tuple[int, NDArray[np.int64], int, str], levels: int) -> Iterator[OutlinedNode]:
    node, rows, level, condition = place
    is_leaf = node < 0
    is_cut = not is_leaf and level == levels
    column = -1 if is_leaf else int(grown.scorer.used[grown.scorer.trees.columns[node]])
    asks = "" if is_leaf else grown.names[column]
    counts = tuple(int(count) for count in grown.Y[rows].sum(axis=0))
    yield OutlinedNode(level, condition, asks, is_cut, len(rows), counts)
    if is_leaf or is_cut:
        return
    values = grown.X[:, [column]].toarray()[rows, 0]
    threshold = float(grown.scorer.trees.thresholds[node])
    without, with_it = conditions(asks, threshold, values)
    above = values > np.float32(threshold)
    left, right = (int(child) for child in grown.scorer.trees.children[node])
    yield from _walk(grown, (right, rows[above], level + 1, with_it), levels)
    yield from _walk(grown, (left, rows[~above], level + 1, without), levels)


def conditions(name: str, threshold: float, values: NDArray[np.float32]) -> tuple[str, str]:
    """Return in words what it means that a value is at most a threshold, and that it is above.

    Where the threshold parts the zeros from all other values, it asks for no more than whether the feature is there.

    Args:
        name: of the feature.
        threshold: of the node.
        values: of the feature in the movies that come to the node, none below 0 if it counts or weighs something.
    """
    present = values[values != 0]
    if values.min(initial=0) < 0:
        return f"{name} at most {threshold:.2g}", f"{name} above {threshold:.2g}"
    if 0 <= threshold < present.min(initial=np.inf):
        return f"without “{name}”", f"with “{name}”"
    return f"with little or no “{name}” (at most {threshold:.2g})", f"with much “{name}” (above {threshold:.2g})"
