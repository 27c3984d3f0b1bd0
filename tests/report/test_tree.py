import json
from pathlib import Path

import pytest

from tasks.errors import ConfigError, DataError
from tasks.report import task
from tasks.report.tree import draw_tree, tell_tree, write_tree_picture
from tasks.stage import StageResult

OUTLINE = {
    "genres": ["Drama", "Horror", "War"],
    "nodes": [
        {"level": 0, "condition": "all train movies", "asks": "ghost", "is_cut": False, "movies": 100,
         "genres": [60, 30, 0]},
        {"level": 1, "condition": "with “ghost”", "asks": "", "is_cut": False, "movies": 20, "genres": [4, 18, 0]},
        {"level": 1, "condition": "without “ghost”", "asks": "<i>$x$", "is_cut": False, "movies": 80,
         "genres": [56, 12, 0]},
        {"level": 2, "condition": "with “<i>$x$”", "asks": "house", "is_cut": True, "movies": 30, "genres": [15, 9, 0]},
        {"level": 2, "condition": "without “<i>$x$”", "asks": "", "is_cut": False, "movies": 50, "genres": [41, 3, 0]},
    ],
}  # fmt: skip


def write(folder: Path, outline: object = OUTLINE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tree.json").write_text(json.dumps(outline), encoding="utf-8")
    return folder


def test_the_first_question_and_the_farthest_node_are_told() -> None:
    assert tell_tree(OUTLINE, "Horror") == (
        "The tree first asks for “ghost”. Horror is 30% of all 100 train movies and 90% of the 20 with “ghost”, the "
        "farthest from that of all shown."
    )
    assert "45% of the" not in tell_tree(OUTLINE, "Drama")
    assert "0% of all 100 train movies and 0% of the 20 with “ghost”" in tell_tree(OUTLINE, "War")
    leaf = {"genres": ["Drama"], "nodes": [{**OUTLINE["nodes"][0], "asks": "", "genres": [60]}]}
    assert tell_tree(leaf, "Drama").startswith("The tree asks nothing: 60% of all train movies are Drama")


def test_each_node_is_a_row_with_its_movies_shares_and_other_genres() -> None:
    (axes,) = draw_tree(OUTLINE, "Drama").axes
    words = [text.get_text() for text in axes.texts]
    assert words[4:8] == ["all train movies", "100", "60%", "Horror 30%"]
    assert "with “<i>$x$” …" in words
    indents = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert indents["with “ghost”"] == indents["without “ghost”"] < indents["without “<i>$x$”"]


def test_the_picture_is_of_the_most_frequent_genre_or_of_the_one_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path)
    assert write_tree_picture(folder).counts["genre"] == "Drama"
    assert write_tree_picture(folder).skipped
    before = (folder / "tree.svg").read_bytes()
    assert write_tree_picture(folder, "Horror").counts["genre"] == "Horror"
    assert (folder / "tree.svg").read_bytes() != before
    (drawn,) = task.draw_trees.fn([StageResult("outline_tree", folder, "", False)], ("svg", "png"))
    assert drawn.counts["genre"] == "Drama"
    assert (folder / "tree.svg").read_bytes() == before
    assert (folder / "tree.png").is_file()
    with pytest.raises(ConfigError, match="no genre is named 'Noir'; there are: Drama, Horror, War"):
        write_tree_picture(folder, "Noir")


def test_a_model_without_an_outline_has_no_picture_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    assert write_tree_picture(tmp_path) is None
    with pytest.raises(DataError, match=r"tree\.json is damaged"):
        write_tree_picture(write(tmp_path, {"genres": ["Drama"], "nodes": []}))
