import json

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.predictions import IncomparableError, read_decisions
from tasks.core.schema import PREDICTIONS

GENRES = ["Drama", "War"]


def write_predictions(folder, predictions, genres=GENRES):
    """Write predictions given as id: (true, predicted)."""
    folder.mkdir()
    (folder / "rules.json").write_text(json.dumps({"genres": genres}))
    rows = [(movie, true, predicted, None) for movie, (true, predicted) in predictions.items()]
    pl.DataFrame(rows, schema=PREDICTIONS, orient="row").write_parquet(folder / "predictions_test.parquet")
    return folder


FIRST = {"tt2": (["War"], ["War"]), "tt1": (["Drama"], ["Drama", "War"])}


def test_decisions_are_in_the_order_of_ids_whatever_that_of_the_files(tmp_path):
    other = {"tt1": (["Drama"], []), "tt2": (["War"], ["Drama"])}
    found = read_decisions([write_predictions(tmp_path / "a", FIRST), write_predictions(tmp_path / "b", other)])
    assert (found.models, found.movie_ids) == (("a", "b"), ("tt1", "tt2"))
    assert found.truth.tolist() == [[True, False], [False, True]]
    assert [each.tolist() for each in found.decided] == [
        [[True, True], [False, True]], [[False, False], [True, False]],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "genres", "message"),
    [
        ({"tt2": FIRST["tt2"]}, GENRES, "b and a.*: 1 and 2 test movies, 1 in common; the first .* is tt1"),
        ({**FIRST, "tt2": (["Drama"], [])}, GENRES, "different true genres for 1 of them, first tt2"),
        (FIRST, ["Drama", "War", "Western"], "not the same genres: Western"),
        (FIRST, ["War", "Drama"], "not the same genres: another order"),
    ],
)
def test_other_tests_are_refused_with_how_they_differ(tmp_path, other, genres, message):
    folders = [write_predictions(tmp_path / "a", FIRST), write_predictions(tmp_path / "b", other, genres)]
    with pytest.raises(IncomparableError, match=message):
        read_decisions(folders)
    with pytest.raises(IncomparableError, match=r"b and a \(data 22 and unknown\)"):
        read_decisions(folders, {"b": "22"})


@pytest.mark.parametrize("name", ["rules.json", "predictions_test.parquet"])
def test_damage_names_the_file(tmp_path, name):
    folder = write_predictions(tmp_path / "a", FIRST)
    (folder / name).write_text("no")
    with pytest.raises(DataError, match=name):
        read_decisions([folder])
