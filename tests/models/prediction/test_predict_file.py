import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import ConfigError, DataError, ModelError, WorkerError
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.predict import Choices, predict_file


@pytest.fixture
def folder(stored_once, tmp_path):
    """A stored classifier of this test's own."""
    return Path(shutil.copytree(stored_once, tmp_path / "stored"))


@pytest.fixture
def many_pieces(monkeypatch):
    """Files of more than a few rows are many pieces."""
    monkeypatch.setattr("tasks.models.predict.PIECE_ROWS", 7)


def write(tmp_path, content: str | bytes):
    path = tmp_path / "in.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_rows_keep_their_order_and_extra_columns_are_ignored(folder, tmp_path):
    source = write(
        tmp_path, '\ufeffextra,movie_id,description\r\n1,b,"haunted house, ghosts"\r\n2,a,"saloon\nsheriff"\r\n'
    )
    assert predict_file(folder, source, tmp_path / "new" / "out.csv") == 2
    out = pl.read_csv(tmp_path / "new" / "out.csv")
    assert out.columns == ["movie_id", "genres", "score_Drama", "score_Horror", "score_Western"]
    assert out["movie_id"].to_list() == ["b", "a"]
    assert out["genres"].to_list() == ["Horror", "Western"]


def test_rows_without_a_description_are_counted_and_told(folder, tmp_path, caplog):
    source = write(tmp_path, "movie_id,description\na,\nb,  \nc,ghosts\n")
    assert predict_file(folder, source, tmp_path / "out.csv") == 3
    assert "in.csv: 2 of 3 rows have no description" in caplog.text
    caplog.clear()
    predict_file(folder, write(tmp_path, "movie_id,description\nc,ghosts\n"), tmp_path / "out.csv")
    assert "no description" not in caplog.text


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_neither_pieces_nor_workers_make_a_difference(folder, tmp_path, movies, monkeypatch, form):
    source, rows = tmp_path / "all.csv", movies.select("movie_id", "description")
    rows.write_csv(source)
    rows.write_parquet(source.with_suffix(".parquet"))
    predict_file(folder, source, tmp_path / f"whole.{form}", Choices("expected-jaccard"))
    monkeypatch.setattr("tasks.models.predict.PIECE_ROWS", 7)
    for name, of in (("one", source), ("two", source), ("three", source.with_suffix(".parquet"))):
        choices = Choices("expected-jaccard", workers={"one": 1, "two": 2, "three": 3}[name])
        assert predict_file(folder, of, tmp_path / f"{name}.{form}", choices) == 300
        assert (tmp_path / f"{name}.{form}").read_bytes() == (tmp_path / f"whole.{form}").read_bytes()


def test_parquet_and_csv_say_the_same(folder, tmp_path):
    source = write(tmp_path, "movie_id,description\na,haunted ghosts\nb,\n")
    predict_file(folder, source, tmp_path / "out.csv", Choices("threshold=0.5,fallback=none"))
    predict_file(folder, source, tmp_path / "out.parquet", Choices("threshold=0.5,fallback=none"))
    in_parquet = pl.read_parquet(tmp_path / "out.parquet")
    assert in_parquet.schema["score_Drama"] == pl.Float32
    rounded = in_parquet.with_columns(pl.selectors.float().cast(pl.Float64).round(6))
    assert rounded.equals(pl.read_csv(tmp_path / "out.csv").with_columns(pl.col("genres").fill_null("")))


def test_a_worker_that_dies_is_told_and_leaves_no_file(folder, tmp_path, movies, many_pieces, monkeypatch):
    def die(prepare, pieces, workers, _address):
        yield from itertools.islice(map(prepare(), pieces), workers)
        raise WorkerError("one of the worker processes died")

    source = tmp_path / "all.csv"
    movies.select("movie_id", "description").write_csv(source)
    monkeypatch.setattr("tasks.models.predict.stream_in_order", die)
    with pytest.raises(WorkerError, match="died"):
        predict_file(folder, source, tmp_path / "out.csv", Choices(workers=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.csv", "stored"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_late_line_leaves_no_file(folder, tmp_path, many_pieces, workers):
    source = write(tmp_path, "movie_id,description\n" + "a,ghosts\n" * 60 + "b\n")
    with pytest.raises(DataError, match="line 62: 1 fields, expected 2"):
        predict_file(folder, source, tmp_path / "out.csv", Choices(workers=workers))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "stored"]


def test_the_source_is_never_overwritten(folder, tmp_path):
    source = write(tmp_path, "movie_id,description\na,ghosts\n")
    with pytest.raises(DataError, match="both input and output"):
        predict_file(folder, source, source)
    assert source.read_text(encoding="utf-8").startswith("movie_id,description")


def test_the_rule_and_its_thresholds_can_be_changed_afterwards(folder, tmp_path):
    source = write(tmp_path, "movie_id,description\na,haunted ghosts\nb,saloon sheriff\n")
    decided = {}
    for rule in ("top=2", "threshold=1,fallback=none", "Western=0"):
        predict_file(folder, source, tmp_path / "out.csv", Choices(rule))
        decided[rule] = pl.read_csv(tmp_path / "out.csv")["genres"].to_list()
    assert [len(genres.split(", ")) for genres in decided["top=2"]] == [2, 2]
    assert decided["threshold=1,fallback=none"] == ["", ""]
    assert decided["Western=0"] == ["Horror, Western", "Western"]
    with pytest.raises(ConfigError, match="no genre is named 'Horor', did you mean Horror"):
        predict_file(folder, source, tmp_path / "out.csv", Choices("Horor=0.1"))


def test_header_alone_gives_a_header_alone(folder, tmp_path):
    assert predict_file(folder, write(tmp_path, "movie_id,description\n"), tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text().startswith("movie_id,genres,score_Drama")


def test_unknown_rule_leaves_no_file(folder, tmp_path):
    with pytest.raises(ConfigError, match="no rule is named 'dice'"):
        predict_file(folder, write(tmp_path, "movie_id,description\na,b\n"), tmp_path / "out.csv", Choices("dice"))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["in.csv"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"chosen": "global"}',
        '{"chosen": "dice", "rules": {}}',
        "[]",
        '{"chosen": "dice", "rules": {"fixed": {"kind": "global-threshold", "threshold": 0.5}}}',
    ],
)
def test_damaged_rules_are_refused(folder, content):
    (folder / "rules.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="missing or damaged"):
        GenreClassifier.load(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are signalled as POSIX has it")
def test_ctrl_c_leaves_neither_a_file_nor_a_process(folder, tmp_path):
    write(tmp_path, "movie_id,description\n" + "a,haunted house\n" * 600_000)
    code = (
        "import sys, pathlib as p\n"
        "from tasks.models.predict import Choices, predict_file\n"
        f"predict_file(p.Path({str(folder)!r}), p.Path('in.csv'), p.Path('out.csv'), Choices(workers=2))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not any(path.stat().st_size > 100 for path in tmp_path.glob(".unfinished-*")):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGINT, said
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "stored"]
    with contextlib.suppress(ProcessLookupError):
        while not os.killpg(process.pid, 0):  # until the last process of the group is gone
            time.sleep(0.05)
