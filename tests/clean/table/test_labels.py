import polars as pl
import pytest

from tasks.clean.own_table import MAX_LABELS
from tasks.core.errors import DataError

TEXTS = {"key": ["a", "b", "c"], "body": ["One fine day.", "Two odd socks.", "Three blind mice."]}
EXPECTED = [["left", "right"], ["right"], ["left"]]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_separated_labels(clean_frame, form):
    movies, _ = clean_frame(pl.DataFrame({**TEXTS, "tags": [" right|left", "right|right|", "left "]}), form)
    assert movies["genres"].to_list() == EXPECTED


def test_another_separator(clean_frame):
    frame = pl.DataFrame({**TEXTS, "tags": ["right; left", "right", "left"]})
    movies, _ = clean_frame(frame, separator=";")
    assert movies["genres"].to_list() == EXPECTED


def test_lists_of_parquet(clean_frame):
    movies, _ = clean_frame(
        pl.DataFrame({**TEXTS, "tags": [["right", "left"], ["right"], ["left", "left"]]}), "parquet"
    )
    assert movies["genres"].to_list() == EXPECTED


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("kind", [pl.Int64, pl.Boolean, pl.Float64])
def test_a_column_of_0_and_1_for_each_label(clean_frame, form, kind):
    columns = {"left": pl.Series([1, 0, 1]).cast(kind), "right": pl.Series([1, 1, 0]).cast(kind)}
    movies, _ = clean_frame(pl.DataFrame({**TEXTS, **columns}), form, labels=["left", "right"])
    assert movies["genres"].to_list() == EXPECTED


def test_a_cell_that_is_neither_0_nor_1(clean_frame):
    frame = pl.DataFrame({**TEXTS, "left": ["1", "0", ""], "right": ["0", "maybe", "1"]})
    with pytest.raises(DataError, match="column right of the row b holds 'maybe'"):
        clean_frame(frame, labels=["left", "right"])


def test_numbers_are_labels_as_they_are_written(clean_frame):
    movies, _ = clean_frame(pl.DataFrame({**TEXTS, "tags": ["10|2", "2", "10"]}))
    assert movies["genres"].to_list() == [["10", "2"], ["2"], ["10"]]
    lists, _ = clean_frame(pl.DataFrame({**TEXTS, "tags": [[10.0, 2.0], [2.0], [10.0]]}), "parquet")
    assert lists["genres"].to_list() == movies["genres"].to_list()


def test_rows_without_a_label_are_counted(clean_frame):
    movies, ledger = clean_frame(pl.DataFrame({**TEXTS, "tags": ["left|right", " | ", "left"]}))
    assert movies["movie_id"].to_list() == ["a", "c"]
    assert ledger.counts["dropped/no_label"] == 1


def test_rare_labels_are_left_out_and_counted(clean_frame):
    movies, ledger = clean_frame(
        pl.DataFrame(
            {
                "key": ["a", "b", "c", "d", "e"],
                "body": [f"Text number {n}." for n in ("one", "two", "three", "four", "five")],
                "tags": ["left", "right", "left|odd", "right", "odder"],
            }
        ),
        min_rows=2,
    )
    assert movies["genres"].to_list() == [["left"], ["right"], ["left"], ["right"]]
    assert (ledger.counts["rare_label/odd"], ledger.counts["rare_label/odder"]) == (1, 1)
    assert ledger.counts["dropped/only_rare_labels"] == 1


@pytest.mark.parametrize("label", ["food, drink", "a=b", "x" * 101])
def test_labels_that_outputs_could_not_hold(clean_frame, label):
    with pytest.raises(DataError, match=r"the label .* of the row b has"):
        clean_frame(pl.DataFrame({**TEXTS, "tags": ["left", f"right|{label}", "left"]}))


def test_a_wrong_separator_is_asked_for(clean_frame):
    with pytest.raises(DataError, match=r"check `table.separator`, which is '\|'"):
        clean_frame(pl.DataFrame({**TEXTS, "tags": ["left,right", "right", "left"]}))


def test_a_single_label(clean_frame):
    with pytest.raises(DataError, match=r"1 label has at least 1 rows, of 1 in all \(left \(3\)\)"):
        clean_frame(pl.DataFrame({**TEXTS, "tags": ["left", "left", "left"]}))


def test_too_many_labels_say_which_bound_would_do(clean_frame):
    n = MAX_LABELS + 50
    numbers = [f"n{number:03}" for number in range(n)]
    tags = [f"{number}|{numbers[place % MAX_LABELS]}" for place, number in enumerate(numbers)]
    frame = pl.DataFrame({"key": numbers, "body": [f"About {number}." for number in numbers], "tags": tags})
    with pytest.raises(DataError, match=r"has 250 labels of at least 1 rows.*--table\.min-rows 2"):
        clean_frame(frame)
    movies, _ = clean_frame(frame, min_rows=2)
    assert movies["genres"].explode().n_unique() == 50
