import pytest

from tasks.acquire.crawl.journal import find_missing, read_descriptions
from tasks.core.errors import SourceError


def write(folder, name, *rows, header="movie_id,movie_name,genre,description"):
    (folder / name).write_text("\n".join([header, *rows, ""]), encoding="utf-8")


def test_missing_is_what_no_file_has_whole(tmp_path):
    write(
        tmp_path,
        "action.csv",
        "tt0000005,Five,Action,Add a Plot",
        "tt0000001,One,Action,Add a Plot",
        "tt0000002,Two,Action,A mill... See full summary »",
        "tt0000003,Three,Action,A miller keeps a secret.",
        "tt0000006,Six,Action,",
        "nm0000001,Nobody,Action,Add a Plot",
    )
    write(
        tmp_path,
        "drama.csv",
        "tt0000001,One,Drama,A ferryman refuses to cross.",
        "tt0000002,Two,Drama,Add a Plot",
        "tt0000003,Three,Drama,Add a Plot",
        "tt0000004,Four,Drama,A ship…",
        "tt0000005,Five,Drama,Plot under wraps",
    )
    missing = find_missing(tmp_path)
    assert missing.ids == ("tt0000005", "tt0000006", "tt0000002", "tt0000004")
    assert missing.truncated == {"tt0000002", "tt0000004"}
    assert missing.counts == {
        "rows": 11, "malformed_ids": 1, "ids": 6, "whole": 2, "truncated": 2, "nothing": 2,
    }  # fmt: skip


def test_columns_are_found_by_name_and_bytes_replaced(tmp_path):
    path = tmp_path / "plots.csv"
    path.write_bytes(b"\xef\xbb\xbfdescription, movie_id,more\ncaf\xe9, tt0000001 ,1\n,tt0000002,2,3\n")
    assert read_descriptions(path).rows() == [("tt0000001", "caf\ufffd"), ("tt0000002", None)]
    assert read_descriptions(path, ["tt0000002"]).rows() == [("tt0000002", None)]


@pytest.mark.parametrize("content", ["", "movie_id,plot\ntt0000001,A plot.\n"])
def test_files_of_another_form_are_named(tmp_path, content):
    (tmp_path / "odd.csv").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=r"odd\.csv"):
        find_missing(tmp_path)


def test_no_listing(tmp_path):
    with pytest.raises(SourceError, match="run the acquire stage first"):
        find_missing(tmp_path)


def test_real_listings(real_listings):
    counts = find_missing(real_listings).counts
    assert counts["ids"] == counts["whole"] + counts["truncated"] + counts["nothing"]
    assert counts["malformed_ids"] == 0
    assert min(counts.values(), default=0) == 0 < counts["truncated"] < counts["whole"]
