"""Pictures of importances: what is chosen, what is said of it, and that the same bytes come out."""

from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.schema import IMPORTANCE
from tasks.core.settings import DataPaths
from tasks.report import task
from tasks.report.feature_figures import (
    choose_cloud_words,
    choose_strongest,
    draw_importances,
    draw_word_clouds,
    say_clouds,
    say_importances,
    write_importance_pictures,
)

ROWS = [
    ("Horror", "word", "ghost", 2.0, 9),
    ("Horror", "word", "once only", 2.5, 1),
    ("Horror", "word", "the", 0.2, 500),
    ("Horror", "word", "wedding", -1.0, 9),
    ("Horror", "characters", " gho", 9.0, 9),
    ("Horror", "field", "decade=1980", 0.7, 40),
    ("War", "word", "soldier", 1.0, 30),
    ("War", "word", "army", 1.0, 30),
    ("War", "word", "<b>\n漢", 0.9, 30),
    ("Western", "rest", "rest", 1.0, 5),
]


def table(rows: list[tuple[str, str, str, float, int]] = ROWS) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=IMPORTANCE, orient="row")


def test_strong_is_what_weighs_much_in_several_movies() -> None:
    strongest = choose_strongest(table(), 2)
    chosen = {genre: rows["feature"].to_list() for (genre,), rows in strongest.group_by("genre", maintain_order=True)}
    assert chosen == {"Horror": ["ghost", "decade=1980", "wedding"], "War": ["army", "soldier"]}  # ties by name
    assert choose_strongest(table(ROWS[::-1]), 2).equals(strongest)


def test_bars_show_the_weights() -> None:
    (axes,) = draw_importances(choose_strongest(table(), 6)).axes
    words = [text.get_text() for text in axes.texts]
    assert words[:3] == ["Horror", "once only", "+2.50"]
    assert "−1.00" in words
    assert "<b> ?" in words
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[0] == max(widths)
    assert min(widths) == pytest.approx(-widths[0] / 2.5)


def test_clouds_leave_out_function_words_and_genres_without_words() -> None:
    (axes,) = draw_word_clouds(choose_cloud_words(table())).axes
    words = {text.get_text() for text in axes.texts}
    assert words >= {"Horror", "ghost", "once only", "War", "army"}
    assert not {"the", "wedding", "Western"} & words


def test_what_the_pictures_show_is_said() -> None:
    assert say_importances(choose_strongest(table(), 6)) == (
        "Weighted by the number of movies, “ghost” raises Horror most (+2.00 in 9 movies), and “wedding” lowers Horror "
        "most (−1.00 in 9 movies). Weights are mean contributions to the log-odds; a feature of few movies can have a "
        "greater weight."
    )
    assert say_clouds(choose_cloud_words(table())) == (
        "The strongest are “ghost” for Horror, “army” for War, “soldier” for War."
    )
    nothing = table().clear()
    assert say_importances(choose_strongest(nothing, 6)).startswith("No readable feature")
    assert say_clouds(choose_cloud_words(nothing)) == "No word raises the score of any genre."


def test_pictures_are_the_same_each_time_and_those_of_fields_come_with_fields(tmp_path: Path) -> None:
    table().write_parquet(tmp_path / "importance.parquet")
    result = write_importance_pictures(tmp_path)
    assert set(result.counts["findings"]) == {"importance_words", "importance_fields", "importance_clouds"}
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.[sp][vn]g")}
    assert len(before) == 3
    assert write_importance_pictures(tmp_path).skipped
    (tmp_path / "draw-importances.stage.json").unlink()
    table(ROWS[::-1]).write_parquet(tmp_path / "importance.parquet")
    write_importance_pictures(tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.glob("*.[sp][vn]g")}
    table(ROWS[:2]).write_parquet(tmp_path / "importance.parquet")
    assert "importance_fields" not in write_importance_pictures(tmp_path).counts["findings"]
    assert not (tmp_path / "importance_fields.svg").exists()


def test_a_model_that_is_not_explained_has_no_pictures_and_a_damaged_file_is_an_error(paths: DataPaths) -> None:
    paths.models.mkdir(parents=True)
    assert task.draw_importances.fn(paths.models) is None
    (paths.models / "importance.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"importance\.parquet is missing or damaged"):
        write_importance_pictures(paths.models)
    table().clear().write_parquet(paths.models / "importance.parquet")
    with pytest.raises(DataError, match="has no rows"):
        write_importance_pictures(paths.models)
