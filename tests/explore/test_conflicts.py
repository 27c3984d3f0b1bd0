import polars as pl
import pytest

from tasks.explore.tables import ADD_A_PLOT, CONFLICTS, WHOLE, find_conflicts

ROWS = pl.DataFrame(
    {
        "file": ["war.csv", "drama.csv", "drama.csv", "drama.csv"],
        "movie_id": ["tt1", "tt1", "tt2", "tt3"],
        "movie_name": ["The Bridge", "The bridge", "The Bridge", "Alone"],
        "genres": [["War"], ["Drama", "War"], ["Drama"], ["Drama"]],
        "description": ["A bridge holds.", "Add a Plot", "A bridge falls.", "A man is alone."],
        "kind": [WHOLE, ADD_A_PLOT, WHOLE, WHOLE],
    }
)


def test_one_id_with_different_genres_is_a_conflict() -> None:
    assert find_conflicts(ROWS, "id", "genres").to_dicts() == [
        {
            "key": "tt1",
            "rows": 2,
            "different": 2,
            "values": "Drama, War | War",
            "movie_ids": "tt1",
            "files": "drama.csv | war.csv",
        }
    ]


def test_names_agree_whatever_their_case() -> None:
    conflict = find_conflicts(ROWS, "name", "genres").row(0, named=True)
    assert (conflict["key"], conflict["rows"], conflict["different"]) == ("the bridge", 3, 3)
    assert conflict["movie_ids"] == "tt1 | tt2"


def test_a_placeholder_contradicts_nothing() -> None:
    assert find_conflicts(ROWS, "id", "descriptions").is_empty()
    assert find_conflicts(ROWS, "name", "descriptions")["values"].to_list() == ["A bridge falls. | A bridge holds."]


@pytest.mark.parametrize(("key", "value"), CONFLICTS)
def test_rows_that_agree_have_no_conflict_of_any_kind(key: str, value: str) -> None:
    assert find_conflicts(ROWS.tail(1), key, value).is_empty()


def test_rows_need_neither_file_nor_kind() -> None:
    clean = ROWS.drop("file", "kind")
    assert find_conflicts(clean, "id", "names")["values"].to_list() == ["The Bridge | The bridge"]
