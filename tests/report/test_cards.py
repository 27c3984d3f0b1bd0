from collections.abc import Callable
from pathlib import Path

import polars as pl

from tasks.core.settings import DataPaths
from tasks.report.movies import movie_card, movies_section
from tasks.report.sources import Sources, read_sources

WriteRun = Callable[..., list[Path]]

TEXT = "A <b>ghost</b> & a farm"
BEST, RIVAL = [0.7, 0.9, 0.1], [0.6, 0.1, 0.2]


def explain(folder: Path, *rows: tuple[str, str, int | None, int | None, str | None, float]) -> None:
    columns = {"genre": pl.String, "source": pl.String, "start": pl.Int32, "end": pl.Int32, "piece": pl.String,
               "contribution": pl.Float64}  # fmt: skip
    table = pl.DataFrame(rows, schema=columns, orient="row")
    table.select(pl.lit("tt0000").alias("movie_id"), pl.all()).write_parquet(folder / "explanations.parquet")


def sources(paths: DataPaths, write_run: WriteRun) -> Sources:
    folders = write_run(paths, {"tree": [BEST], "svm": [RIVAL]}, [("Drama", "War")], [TEXT])
    return read_sources(folders, paths)


def test_a_card_shows_right_wrong_and_missed_genres_by_score(paths: DataPaths, write_run: WriteRun) -> None:
    run = sources(paths, write_run)
    card = movie_card(run, 0, (run.best,))
    assert card["title"] == "Movie 0 (1990)"
    assert card["text"] == TEXT
    assert not card["reasons"]
    (line,) = card["lines"]
    assert (line["right"], line["wrong"], line["missed"]) == (
        [("Drama", "0.90")],
        [("Comedy", "0.70")],
        [("War", "0.10")],
    )


def test_the_reason_is_of_a_wrong_genre_first_with_words_highlighted(paths: DataPaths, write_run: WriteRun) -> None:
    run = sources(paths, write_run)
    start = TEXT.index("ghost")
    explain(
        run.best.folder,
        ("Drama", "description", start, start + 5, "ghost", 0.5),
        ("Comedy", "description", start, start + 5, "ghost", -0.25),
        ("Comedy", "director", 0, 3, "Ann", 2.0),
        ("Comedy", "rest", None, None, None, 0.1),
        ("Comedy", "year", None, None, "1990", 0.0),
    )
    card = movie_card(run, 0, (run.best,))
    assert card["text"] == ""
    assert [reason["title"] for reason in card["reasons"]] == ["Why Comedy? (tree)"]
    assert card["reasons"][0]["pieces"] == [
        ("director: Ann", "+2.00"),
        ("ghost", "−0.25"),
        ("everything else", "+0.10"),
    ]
    assert card["reasons"][0]["highlighted"] is not None
    assert "<b>" not in card["reasons"][0]["highlighted"]
    assert ">ghost</span>" in card["reasons"][0]["highlighted"]


def test_two_models_explain_the_genre_on_which_they_differ_most(paths: DataPaths, write_run: WriteRun) -> None:
    run = sources(paths, write_run)
    assert run.rival
    for model in (run.best, run.rival):
        explain(model.folder, *((genre, "rest", None, None, None, 1.0) for genre in ("Comedy", "Drama")))
    card = movie_card(run, 0, (run.best, run.rival))
    assert [reason["title"] for reason in card["reasons"]] == ["Why Drama? (tree)", "Why Drama? (svm)"]
    assert card["text"] == TEXT


def test_a_movie_is_shown_once_and_named_where_it_has_another_role(paths: DataPaths, write_run: WriteRun) -> None:
    run = sources(paths, write_run)
    roles = pl.DataFrame({"movie_id": ["tt0000"] * 2, "role": ["bad", "impossible"], "rank": [1, 1]})
    _, good, bad, disagreement, impossible = movies_section(run, roles).blocks
    assert [len(block.cards) for block in (good, bad, disagreement, impossible)] == [0, 1, 0, 0]
    assert impossible.sentence.endswith("Shown above: Movie 0.")
