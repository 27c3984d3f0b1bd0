"""The audit's files: whose scores count, what they say, and that people and programs can read them."""

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.predictions import write_scores
from tasks.evaluate import label_audit, task
from tasks.evaluate.label_audit import AUDIT, audit_labels, read_audit

GENRES = ("Comedy", "Drama", "War")
N_MOVIES = 120
PARTS = np.array(["train", "validation", "test"])[np.arange(N_MOVIES) % 3]
IDS = [f"tt{number:04}" for number in range(N_MOVIES)]
WRONG = ("tt0001", "tt0002", "tt0100")  # of validation, test, validation


@pytest.fixture
def truth(draw_truth):
    return draw_truth(N_MOVIES, (0.4, 0.4, 0.4))


@pytest.fixture
def folders(paths, truth, write_movies):
    """Two models that know the true genres; the listing is wrong about the first genre of three movies."""
    given = truth.copy()
    given[[IDS.index(movie) for movie in WRONG], 0] ^= True
    write_movies(given, PARTS.tolist(), names=["=cmd()" if movie == WRONG[0] else "A name" for movie in IDS])
    models = [paths.models / name for name in ("first", "second")]
    for number, folder in enumerate(models):
        write_model(folder, truth, np.random.default_rng(number))
    return models


def write_model(folder, truth, random):
    folder.mkdir(parents=True)
    scores = np.clip(0.1 + 0.7 * truth + 0.2 * random.random(truth.shape), 0, 1).astype(np.float32)
    for part in ("validation", "test"):
        rows = random.permutation(np.flatnonzero(part == PARTS))
        write_scores(folder / f"scores_{part}.parquet", [IDS[row] for row in rows], scores[rows], GENRES)


def test_wrong_listings_come_first_and_are_told_in_words(paths, folders):
    counts = audit_labels(folders, paths).counts
    table = read_audit(paths)
    assert table.schema == AUDIT
    assert sorted(table.head(3)["movie_id"]) == sorted(WRONG)
    assert counts["asked"] == ["first", "second"]
    assert counts["movies"] == 80
    assert table["quality"].is_sorted()
    for row in table.head(3).iter_rows(named=True):
        has_comedy = "Comedy" in row["given_genres"].split(", ")
        assert row["doubted"] == ("is not Comedy" if has_comedy else "lacks Comedy")
        assert row["reason"].startswith("all 2 models give Comedy at ")
        assert row["scores_from"] == f"first, {PARTS[IDS.index(row['movie_id'])]}"
    assert audit_labels(folders, paths).skipped


def test_what_a_spreadsheet_would_run_is_neutralised_for_people_only(paths, folders):
    audit_labels(folders, paths)
    assert "'=cmd()" in pl.read_csv(paths.results / "label_audit.csv")["movie_name"].to_list()
    assert "=cmd()" in read_audit(paths)["movie_name"].to_list()


def test_out_of_fold_scores_count_where_they_are_of_the_movies_of_today(paths, folders, truth):
    folder = paths.cross_validation / "first"
    folder.mkdir(parents=True)
    file = folder / "scores_out_of_fold.parquet"
    write_scores(file, IDS, (0.1 + 0.8 * truth).astype(np.float32), GENRES)
    counts = audit_labels(folders, paths).counts
    assert (counts["movies"], counts["asked"]) == (N_MOVIES, ["first"])  # the second has none of train
    assert set(read_audit(paths)["scores_from"]) == {"first, out of fold"}
    write_scores(file, IDS[1:], (0.1 + 0.8 * truth).astype(np.float32)[1:], GENRES)
    assert audit_labels(folders, paths).counts["movies"] == 80


def test_others_are_asked_about_the_movies_that_the_first_model_has_scores_of(paths, folders, truth):
    folder = paths.cross_validation / "second"
    folder.mkdir(parents=True)
    write_scores(folder / "scores_out_of_fold.parquet", IDS, (0.1 + 0.8 * truth).astype(np.float32), GENRES)
    assert audit_labels(folders, paths).counts["asked"] == ["first", "second"]


def test_a_model_without_doubts_leaves_an_empty_table(paths, folders, truth):
    genres = [[genre for genre, has in zip(GENRES, row, strict=True) if has] for row in truth]
    pl.read_parquet(paths.movies).with_columns(genres=pl.Series(genres)).write_parquet(paths.movies)
    assert task.audit.fn(folders, paths).counts["doubted_movies"] == 0
    assert read_audit(paths).is_empty()


def test_an_audit_needs_a_model_and_its_scores(paths, folders):
    with pytest.raises(DataError, match="no model is given"):
        audit_labels([], paths)
    (folders[0] / "scores_test.parquet").unlink()
    with pytest.raises(DataError, match=r"scores_test\.parquet"):
        audit_labels(folders, paths)


def test_without_cleanlab_it_is_left_out_and_an_outdated_audit_goes(paths, folders, monkeypatch, caplog):
    audit_labels(folders, paths)
    monkeypatch.setattr(label_audit, "is_installed", lambda extra: extra != "audit")
    left_out = audit_labels(folders, paths)
    assert (left_out.skipped, left_out.counts) == (True, {})
    assert "cleanlab is not installed" in caplog.text
    assert (paths.results / "label_audit.csv").is_file()
    assert not audit_labels(folders[:1], paths).skipped
    assert not (paths.results / "label_audit.csv").is_file()
