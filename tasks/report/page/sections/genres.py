"""What the models do on each genre. Owns the section's figures, sentences and pictures."""

from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.report.confusion import count_instead, draw_confusion, draw_instead
from tasks.report.page.blocks import Cell, Column, Picture, Section, Table, Words
from tasks.report.page.pictures import draw_support
from tasks.report.page.sections.heat import heat_maps
from tasks.report.page.sources import Sources
from tasks.report.page.wording import UNDEFINED, counted, figure, listed, percent
from tasks.report.pictures import draw_genres

FEWEST_FOR_COURSE: Final = 4  # genres; any three are in one of six orders
FEWEST_FOR_EXCEPTION: Final = 6
NONE_MISSED: Final = "No genre was missed in any movie."
NO_EXCEPTION: Final = 0.95  # rank correlation from which all genres follow the course


def genres_section(sources: Sources) -> Section:
    """Show the best model's genres, and those with few and with many movies over the models."""
    best, table = sources.best, sources.best.per_genre
    blocks: list[Any] = [
        Picture("genres", f"Genres of {best.name}", say_genres(table), partial(draw_genres, table)),
        Picture("support", "F1 against the number of movies", say_support(table), partial(draw_support, table)),
        _table(table),
        *heat_maps(sources),
    ]
    genres = table["genre"].to_list()
    instead = count_instead(best.predictions, genres)
    blocks += [
        Picture(
            "confusion",
            f"Right and wrong of {best.name}",
            say_confusion(table),
            partial(draw_confusion, table),
            is_wide=True,
        ),
        Picture(
            "predicted_instead",
            "What is said instead of a missed genre",
            say_instead(instead, genres),
            partial(draw_instead, instead, genres),
            is_wide=True,
        ),
    ]
    if undefined := say_undefined(table):
        blocks.insert(0, Words(undefined))
    return Section("genres", "Genre by genre", blocks)


def say_undefined(table: pl.DataFrame) -> str:
    """Name the genres that no test movie has, if any."""
    names = table.filter(pl.col("support") == 0)["genre"].to_list()
    if not names:
        return ""
    has, their = ("has", "its") if len(names) == 1 else ("have", "their")
    return f"{listed(names)} {has} no test movie: {their} precision, recall and F1 are undefined, not zero."


def say_genres(table: pl.DataFrame) -> str:
    """Name the genres with the highest and the lowest F1, and those that were never found."""
    known = table.drop_nulls("f1").filter(pl.col("support") > 0).sort("f1", "genre", descending=[True, False])
    if known.is_empty():
        return "No genre has a test movie, so every F1 is undefined."
    first, last = known.row(0, named=True), known.row(-1, named=True)
    if first["f1"] == last["f1"]:
        same = figure(first["f1"], 2)
        only = f"{first['genre']} is the only genre with a test movie; its F1 is {same}."
        return only if known.height == 1 else f"All {counted(known.height, 'genre')} have the same F1, {same}."
    never = known.filter(pl.col("tp") == 0)["genre"].to_list()
    more = f" {listed(never)} {'was' if len(never) == 1 else 'were'} never found." if never else ""
    return (
        f"{first['genre']} is told best, with an F1 of {figure(first['f1'], 2)}, and {last['genre']} worst, with "
        f"{figure(last['f1'], 2)}.{more}"
    )


def say_support(table: pl.DataFrame) -> str:
    """Say how far F1 goes with the number of movies, and which genre departs most from that."""
    known = table.drop_nulls("f1").filter(pl.col("support") > 0)
    if known.height < FEWEST_FOR_COURSE or known["support"].n_unique() < 2 or known["f1"].n_unique() < 2:
        return "Too few genres differ in F1 and in number of movies to tell a connection."
    ranks = [known[name].rank().to_list() for name in ("support", "f1")]
    rho = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    course = f"F1 {_course(rho)} with the number of movies (rank correlation {figure(rho, 2)})"
    if known.height < FEWEST_FOR_EXCEPTION or abs(rho) >= NO_EXCEPTION:
        return f"{course}."
    x, y = np.log(known["support"].to_numpy()), known["f1"].to_numpy()
    off = y - np.polyval(np.polyfit(x, y, 1), x)
    row = int(np.abs(off).argmax())
    genre, movies = known["genre"][row], counted(int(known["support"][row]), "movie")
    return (
        f"{course}; the greatest exception is {genre}, with {figure(float(y[row]), 2)} for {movies}, "
        f"{'more' if off[row] > 0 else 'less'} than the others' course suggests."
    )


def _course(rho: float) -> str:
    words = {0.6: "clearly rises", 0.3: "rises somewhat", -0.3: "neither rises nor falls", -1.1: "falls"}
    return next(word for bound, word in words.items() if rho >= bound)


def say_confusion(table: pl.DataFrame) -> str:
    """Name the genres that are most often missed and most often wrongly given, as shares."""
    missed = table.filter(pl.col("support") > 0).with_columns(share=pl.col("fn") / pl.col("support"))
    given = table.filter(pl.col("tp") + pl.col("fp") > 0).with_columns(
        share=pl.col("fp") / (pl.col("tp") + pl.col("fp"))
    )
    if missed.is_empty() or given.is_empty():
        return "No genre was there, or none was given."
    (missing, missed_share), (wrong, wrong_share) = (_highest(rows) for rows in (missed, given))
    have, given_to = ("it" if len(genres) == 1 else "them" for genres in (missing, wrong))
    misses = f"Missed most often: {listed(missing)}, in {percent(missed_share)} of the movies that have {have}."
    alarms = (
        f"Given wrongly most often: {listed(wrong)}, in {percent(wrong_share)} of the movies that are given {given_to}."
    )
    return f"{misses if missed_share else NONE_MISSED} {alarms if wrong_share else 'No genre was given wrongly.'}"


def _highest(table: pl.DataFrame) -> tuple[list[str], float]:
    """Return the genres with the highest share, which may be several, and that share."""
    highest = float(table["share"].max() or 0)  # type: ignore[arg-type]
    return table.filter(pl.col("share") == highest)["genre"].sort().to_list(), highest


def say_instead(instead: NDArray[np.float64], genres: list[str]) -> str:
    """Name the most frequent pair of a missed genre and what was said instead."""
    wrong = instead[:, : len(genres)]
    if not instead[:, -1].any():
        return NONE_MISSED
    nothing = instead[:, -2].sum() / instead[:, -1].sum()
    rest = f"in {percent(nothing)} of all misses no wrong genre was said"
    if not wrong.any():
        return f"Nothing wrong was said in place of a missed genre: {rest}."
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return (
        f"The most frequent: {genres[column]} in {counted(int(wrong[row, column]), 'movie')} of "
        f"{int(instead[row, -1]):,} where "
        f"{genres[row]} was missed; {rest}."
    )


def _table(table: pl.DataFrame) -> Table:
    shown = ("support", "predicted", "precision", "recall", "f1", "average_precision")
    names = [name for name in shown if name in table.columns]
    titles = {"support": "test movies", "f1": "F1", "average_precision": "average precision"}
    heads = [Column("Genre"), *(Column(titles.get(name, name), True) for name in names)]
    rows = [
        [Cell(row["genre"], row["genre"]), *(_cell(row[name]) for name in names)] for row in table.iter_rows(named=True)
    ]
    return Table("per-genre", "Figures of each genre", heads, rows, is_sortable=True, is_folded=True)


def _cell(value: float | None) -> Cell:
    if isinstance(value, int):
        return Cell(f"{value:,}", value)
    return Cell(UNDEFINED if value is None else figure(value), value)
