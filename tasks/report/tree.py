"""The first questions of a decision tree as a picture. Owns its form and its stage; the outline is made elsewhere."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.errors import ConfigError, DataError
from tasks.picture import BLUE, GREY, INK, PAPER_TINT, SVG_ONLY, Form, drawable, picture_files, write_picture
from tasks.stage import Stage, StageResult, run_stage

TREE_FILE: Final = "tree.json"
PICTURE: Final = "tree"
OTHERS_SHOWN: Final = 2  # further genres named beside each node

_ROW_IN, _WIDTH_IN = 0.27, 9.6
_INDENT, _MOVIES, _BAR, _BAR_WIDTH, _OTHERS = 0.035, 0.53, 0.56, 0.12, 0.74  # in widths of the picture


def write_tree_picture(
    model_folder: Path, genre: str | None = None, forms: Sequence[Form] = SVG_ONLY
) -> StageResult | None:
    """Draw a decision tree's outline with the shares of one genre; None for a model that left no outline.

    The counts name the genre, the first question, and the finding: what it tells of the genre, in words.

    Args:
        model_folder: holds `tree.json`.
        genre: whose shares are drawn as bars; none: the one that most train movies have, of equals the first.
        forms: of the picture.

    Raises:
        DataError: the outline is damaged.
        ConfigError: the model does not tell such a genre.
    """
    path = model_folder / TREE_FILE
    if not path.is_file():
        return None
    outputs = picture_files([PICTURE], forms)
    config = {"genre": genre}
    stage = Stage(
        f"draw-{PICTURE}", model_folder, outputs, (path,), config, (Path(__file__),), ("matplotlib",), removes_old=True
    )

    def build(folder: Path) -> Mapping[str, Any]:
        outline = _read(path)
        shown = genre or _most_frequent(outline)
        if shown not in outline["genres"]:
            raise ConfigError(f"{path}: no genre is named {shown!r}; there are: {', '.join(outline['genres'])}")
        write_picture(folder, PICTURE, lambda: draw_tree(outline, shown), forms)
        return {"genre": shown, "asks_first": outline["nodes"][0]["asks"], "finding": tell_tree(outline, shown)}

    return run_stage(stage, build)


def tell_tree(outline: Mapping[str, Any], genre: str) -> str:
    """Return in one sentence what the picture shows: the first question, and what lies farthest from the root."""
    nodes, column = outline["nodes"], outline["genres"].index(genre)
    root = nodes[0]
    overall = _share(root, column)
    if not root["asks"]:
        return f"The tree asks nothing: {overall:.0%} of all train movies are {genre}, and so it says of every movie."
    shares = [(_share(node, column), place) for place, node in enumerate(nodes) if place and node["movies"]]
    share, place = max(shares, key=lambda each: (abs(each[0] - overall), -each[1]))
    way = ", ".join(node["condition"] for node in _way_to(nodes, place)[1:])
    return (
        f"The tree first asks for “{root['asks']}”. {genre} is {overall:.0%} of all {root['movies']:,} train movies "
        f"and {share:.0%} of the {nodes[place]['movies']:,} {way}, the farthest from that of all shown."
    )


def draw_tree(outline: Mapping[str, Any], genre: str) -> Figure:
    """Draw one row a node, indented by its level: what led to it, its movies, the genre's share, other frequent genres.

    A node from which the tree asks on, below what is shown, ends in "…".
    """
    nodes, column = outline["nodes"], outline["genres"].index(genre)
    height = len(nodes) + 1.6
    figure = Figure(figsize=(_WIDTH_IN, _ROW_IN * height))
    axes = figure.add_axes((0.01, 0, 0.98, 1))
    axes.set(xlim=(0, 1), ylim=(height - 1.2, -1.6))
    axes.set_axis_off()
    for x, text, side in (
        (0, "train movies", "left"),
        (_MOVIES, "movies", "right"),
        (_BAR, f"{genre}: share", "left"),
        (_OTHERS, "most frequent others", "left"),
    ):
        axes.text(x, -0.9, drawable(text), fontweight="bold", fontsize=9, ha=side, va="center")
    overall = _share(nodes[0], column)
    axes.plot([_BAR + overall * _BAR_WIDTH] * 2, [-0.45, len(nodes) - 0.5], color=INK, linewidth=0.8, linestyle=":")
    _draw_branches(axes, nodes)
    for row, node in enumerate(nodes):
        _draw_node(axes, row, node, outline["genres"], column)
    return figure


def _draw_node(axes: Axes, row: int, node: Mapping[str, Any], genres: list[str], column: int) -> None:
    text = node["condition"] + (" …" if node["is_cut"] else "")
    axes.text(node["level"] * _INDENT, row, drawable(text, 60), fontsize=9, va="center")
    axes.text(_MOVIES, row, f"{node['movies']:,}", fontsize=9, ha="right", va="center")
    share = _share(node, column)
    axes.barh([row, row], [_BAR_WIDTH, share * _BAR_WIDTH], left=_BAR, height=0.62, color=[PAPER_TINT, BLUE])
    axes.text(_BAR + _BAR_WIDTH + 0.045, row, f"{share:.0%}", fontsize=9, ha="right", va="center")
    others = sorted(set(range(len(genres))) - {column}, key=lambda other: (-node["genres"][other], other))
    shares = [f"{genres[other]} {_share(node, other):.0%}" for other in others[:OTHERS_SHOWN] if node["genres"][other]]
    axes.text(_OTHERS, row, drawable(", ".join(shares)), fontsize=9, va="center")


def _draw_branches(axes: Axes, nodes: list[dict[str, Any]]) -> None:
    for row, node in enumerate(nodes[1:], 1):
        above = (
            row - 1 - next(back for back, other in enumerate(nodes[row - 1 :: -1]) if other["level"] < node["level"])
        )
        x = (node["level"] - 1) * _INDENT + 0.008
        axes.plot([x, x, x + _INDENT - 0.014], [above + 0.42, row, row], color=GREY, linewidth=1)


def _way_to(nodes: list[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    way = [nodes[place]]
    for node in nodes[place::-1]:
        if node["level"] == way[0]["level"] - 1:
            way.insert(0, node)
    return way


def _share(node: Mapping[str, Any], column: int) -> float:
    return float(node["genres"][column] / node["movies"]) if node["movies"] else 0.0


def _most_frequent(outline: Mapping[str, Any]) -> str:
    return str(outline["genres"][int(np.argmax(outline["nodes"][0]["genres"]))])


def _read(path: Path) -> dict[str, Any]:
    try:
        outline = json.loads(path.read_text(encoding="utf-8"))
        assert len(outline["nodes"][0]["genres"]) == len(outline["genres"])
    except (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
        raise DataError(f"{path} is damaged ({error!r}); delete it and compare again") from error
    return dict(outline)
