from itertools import permutations

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.schema import IMPORTANCE
from tasks.core.settings import DataPaths
from tasks.report import task
from tasks.report.feature_figures import (
    MEASURES,
    SIMILARITY,
    compare_genres,
    cosines,
    draw_similarity,
    overlaps,
    say_nearest,
    write_genre_similarity,
)

GENRES = ("Drama", "Horror", "War")
PROFILES = pl.DataFrame(
    [(one, other, 0.9, -0.2 if "War" in (one, other) else None) for one, other in permutations(GENRES, 2)],
    schema=["genre", "other", "tfidf_cosine", "tfidf_excess_cosine"],
    orient="row",
)
WEIGHTS = {
    "Drama": {"word love": 1.0, "word war": 0.5, "field war": 2.0},
    "Horror": {"word love": -1.0, "word ghost": 3.0, "field war": 2.0},
}  # War has no importance


def importance() -> pl.DataFrame:
    rows = [(genre, *key.split(), weight, 3) for genre, weights in WEIGHTS.items() for key, weight in weights.items()]
    return pl.DataFrame(rows, schema=IMPORTANCE, orient="row")


def test_overlap_and_cosine_are_those_of_a_slow_reference() -> None:
    random = np.random.default_rng(1)
    weights = np.round(random.standard_normal((5, 30)), 1) * (random.random((5, 30)) < 0.7)  # with ties
    weights[4] = 0
    overlap, cosine = overlaps(weights, 6), cosines(weights)
    tops = [
        {column for column in sorted(range(30), key=lambda column: (-row[column], column))[:6] if row[column] > 0}
        for row in weights
    ]
    for one in range(5):
        for other in range(5):
            if 4 in (one, other):
                assert np.isnan([overlap[one, other], cosine[one, other]]).all()
                continue
            assert overlap[one, other] == len(tops[one] & tops[other]) / len(tops[one] | tops[other])
            lengths = np.sqrt((weights[one] ** 2).sum() * (weights[other] ** 2).sum())
            assert cosine[one, other] == pytest.approx((weights[one] * weights[other]).sum() / lengths)


def test_every_genre_is_compared_with_all_others() -> None:
    table = compare_genres(importance(), PROFILES)
    assert table.schema == SIMILARITY
    assert table["genre"].to_list() == ["Drama"] * 2 + ["Horror"] * 2 + ["War"] * 2
    first = table.row(0, named=True)
    assert (first["other"], first["importance_overlap"]) == ("Horror", 1 / 4)
    assert first["importance_cosine"] == pytest.approx((2 * 2 - 1) / np.sqrt(5.25 * 14))
    assert table.filter(pl.col("other") == "War")["importance_cosine"].to_list() == [None, None]
    assert table["tfidf_cosine"].to_list() == [0.9] * 6
    assert compare_genres(importance().reverse(), PROFILES.reverse()).equals(table)


def test_the_most_and_the_least_similar_are_named() -> None:
    table = compare_genres(importance(), PROFILES)
    assert say_nearest(table, "tfidf_excess_cosine") == (
        "Most similar: Horror and War (−0.20); least: Drama and War (−0.20)."
    )
    only = table.filter(pl.col("genre").is_in(["Drama", "War"]) & pl.col("other").is_in(["Drama", "War"]))
    assert say_nearest(only, "tfidf_excess_cosine") == "Only Drama and War (−0.20) can be compared."
    assert say_nearest(table.clear(), "tfidf_cosine") == "No two genres can be compared."


def test_a_heat_map_shows_hundredths_and_nothing_below_zero() -> None:
    table = compare_genres(importance(), PROFILES)
    (axes,) = draw_similarity(table, "importance_overlap").axes
    assert [text.get_text() for text in axes.texts] == ["25", "25"]
    (axes,) = draw_similarity(table, "tfidf_excess_cosine").axes
    assert not axes.texts
    (axes,) = draw_similarity(table.clear(), "tfidf_cosine").axes
    assert [text.get_text() for text in axes.texts] == ["nothing to show"]


def test_the_stage_writes_the_table_and_its_pictures(paths: DataPaths) -> None:
    folder = paths.models / "svm"
    folder.mkdir(parents=True)
    paths.genre_profiles.parent.mkdir(parents=True)
    importance().write_parquet(folder / "importance.parquet")
    with pytest.raises(DataError, match=r"genre_profiles\.csv"):
        write_genre_similarity(folder, paths)
    PROFILES.write_csv(paths.genre_profiles)
    result = task.genre_similarity.fn(folder)
    assert set(MEASURES) < set(result.counts)
    assert pl.read_csv(paths.results / "genre_similarity.csv").height == 6
    before = {path.name: path.read_bytes() for path in paths.results.glob("*.[sp][vn]g")}
    assert len(before) == len(MEASURES)
    (paths.results / "genre_similarity.stage.json").unlink()
    write_genre_similarity(folder, paths)
    assert before == {path.name: path.read_bytes() for path in paths.results.glob("*.[sp][vn]g")}
    paths.genre_profiles.write_text("genre,other\n")
    with pytest.raises(DataError, match="is damaged"):
        write_genre_similarity(folder, paths)
