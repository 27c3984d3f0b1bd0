import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.models import predict
from tasks.models.predict import count_rows, read_first_rows, read_pieces


def write(tmp_path, content: str | bytes):
    path = tmp_path / "in.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_columns_that_no_model_reads_are_left_out_and_blank_lines_do_not_count(tmp_path):
    source = write(
        tmp_path, '\ufeffextra,movie_id,year,description\r\n1,b,1999,"ghosts,\nhouse"\r\n\r\n2,a,,saloon\r\n'
    )
    (piece,) = read_pieces(source)
    assert piece.to_dict(as_series=False) == {
        "movie_id": ["b", "a"], "description": ["ghosts,\nhouse", "saloon"], "year": ["1999", ""],
    }  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_pieces_are_bounded_in_rows(tmp_path, monkeypatch, form):
    monkeypatch.setattr(predict, "PIECE_ROWS", 4)
    rows = pl.DataFrame({"movie_id": [str(number) for number in range(10)], "description": ["x"] * 10})
    path = tmp_path / f"in.{form}"
    getattr(rows, f"write_{form}")(path)
    pieces = list(read_pieces(path))
    assert [piece.height for piece in pieces] == [4, 4, 2]
    assert pl.concat(pieces).equals(rows)


def test_pieces_are_bounded_in_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "PIECE_CHARACTERS", 100)
    source = write(tmp_path, "movie_id,description\n" + f"a,{'x' * 60}\n" * 5)
    assert [piece.height for piece in read_pieces(source)] == [2, 2, 1]


def test_nothing_is_read_ahead_of_what_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "PIECE_ROWS", 2)
    source = write(tmp_path, "movie_id,description\na,b\nc,d\ntoo,many,fields\n")
    assert read_first_rows(source, 2)["movie_id"].to_list() == ["a", "c"]
    assert read_first_rows(source, 1)["movie_id"].to_list() == ["a"]
    with pytest.raises(DataError, match="line 4"):
        read_first_rows(source, 3)


def test_first_rows_of_an_empty_file_have_the_columns(tmp_path):
    assert read_first_rows(write(tmp_path, "movie_id,description\n"), 5).shape == (0, 2)


def test_columns_of_parquet_become_texts(tmp_path):
    rows = {
        "movie_id": [1, 2], "description": ["ghosts", None], "year": [1999.0, None], "runtime_min": [90.0, None],
        "directors": [["Ann Other", "Jo Doe"], []], "star": ["Ann, Jo", None],
    }  # fmt: skip
    pl.DataFrame(rows).write_parquet(tmp_path / "in.parquet")
    (piece,) = read_pieces(tmp_path / "in.parquet")
    assert piece.select("movie_id", "description", "year", "runtime_min", "directors").rows() == [
        ("1", "ghosts", "1999", "90", ["Ann Other", "Jo Doe"]), ("2", "", None, None, []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column movie_id, description"),
        ("movie_id,plot\na,b\n", "has no column description; its header is: movie_id, plot"),
        ("movie_id,description,description\na,b,c\n", "more than one column description"),
        ("movie_id,description\na,b,c\n", "line 2: 3 fields, expected 2"),
        ("movie_id,description\na\n", "line 2: 1 fields, expected 2"),
        (b"movie_id,description\na,\xff\n", "not a CSV in UTF-8"),
        (b"\xff\xfem\x00", "line 0 or soon after: not a CSV in UTF-8"),
        ('movie_id,description\na,"never closed\n', "line 2 or soon after: not a CSV in UTF-8"),
        (f"movie_id,description\na,{'x' * 200_000}\n", "field limit.*; save it as one, or as a parquet file"),
        ('movie_id,description\na,b\na,"b"c\n', "line 3 or soon after: not a CSV in UTF-8"),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        list(read_pieces(write(tmp_path, content)))


def test_a_bad_parquet_file_is_named(tmp_path):
    path = tmp_path / "in.parquet"
    with pytest.raises(DataError, match="does not exist"):
        list(read_pieces(path))
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="is not a readable parquet file"):
        list(read_pieces(path))
    pl.DataFrame({"movie_id": ["a"], "plot": ["b"]}).write_parquet(path)
    with pytest.raises(DataError, match="has no column description"):
        list(read_pieces(path))
    pl.DataFrame({"movie_id": ["a"], "description": [["b"]]}).write_parquet(path)
    with pytest.raises(DataError, match="is not a readable parquet file"):
        list(read_pieces(path))


def test_own_fields_of_a_model_are_read(tmp_path):
    rows = pl.DataFrame({"movie_id": ["a", "b", "c"], "description": ["x"] * 3, "price": [1.5, 2.0, None], "other": 1})
    rows.write_parquet(tmp_path / "in.parquet")
    rows.write_csv(tmp_path / "in.csv")
    (of_parquet,) = read_pieces(tmp_path / "in.parquet", ("price", "absent"))
    (of_csv,) = read_pieces(tmp_path / "in.csv", ("price", "absent"))
    assert of_parquet["price"].to_list() == ["1.5", "2", None]
    assert of_csv["price"].to_list() == ["1.5", "2.0", ""]
    assert of_csv.columns == of_parquet.columns == ["movie_id", "description", "price"]


def test_rows_are_counted_to_show_progress_by(tmp_path):
    movies = pl.DataFrame({"movie_id": ["a", "b"], "description": ["one\nline and another", "x"]})
    movies.write_csv(tmp_path / "two.csv")
    movies.write_parquet(tmp_path / "two.parquet")
    (tmp_path / "damaged.parquet").write_text("nothing")
    counts = [count_rows(tmp_path / name) for name in ("two.csv", "two.parquet", "damaged.parquet", "none.csv")]
    assert counts == [2, 2, None, None]
