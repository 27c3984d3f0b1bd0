"""The page in short: the numbers that matter and what they mean. Owns their choice and wording."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.files import hash_file
from tasks.core.settings import DataPaths
from tasks.report.exhibits import impossible_movies
from tasks.report.figures import count_instead, draw_confusion, draw_genres, draw_instead
from tasks.report.page.figures import draw_model_genres, draw_support
from tasks.report.page.models import say_leader
from tasks.report.page.sources import (
    LABEL_AUDIT_EFFECT_FILE,
    UNDEFINED,
    Model,
    RunFacts,
    Sources,
    counted,
    figure,
    listed,
    optional_table,
    percent,
    read_json,
    with_minus,
)
from tasks.report.page.writer import Cell, Column, Picture, Section, Table, Tile, Tiles, Words

MOST_MODELS: Final = 16
MOST_NAMED: Final = 3  # models that stand at one end
METRICS: Final = {"precision": "precision", "recall": "recall", "f1": "F1"}


def heat_maps(sources: Sources) -> list[Picture]:
    """Show precision, recall and F1 of the genres with fewest and with most test movies, over the best models."""
    support = sources.best.per_genre.select("genre", "support").sort("support", "genre")
    half = (support.height + 1) // 2
    groups = {"few": support.head(half), "many": support.slice(half).reverse()}
    return [_heat_map(sources, name, rows) for name, rows in groups.items() if rows.height]


def _heat_map(sources: Sources, name: str, rows: pl.DataFrame) -> Picture:
    models, genres = sources.models[:MOST_MODELS], rows["genre"].to_list()
    names = [model.name for model in models]
    values = {title: _shares(models, genres, metric) for metric, title in METRICS.items()}
    left_out = len(sources.models) - len(models)
    more = f" Left out: the last {counted(left_out, 'model')} of the leaderboard." if left_out else ""
    if any(np.isnan(shares).any() for shares in values.values()):
        more += " A dash is undefined: the genre has no test movie or, for precision, was never predicted."
    labels = [f"{genre}: {count:,}" for genre, count in rows.iter_rows()]
    return Picture(
        f"heat_{name}",
        f"Genres with {name} movies, over models",
        say_heat(values["F1"], genres, names, "fewest" if name == "few" else "most") + more,
        partial(draw_model_genres, values, labels, names),
        is_wide=True,
    )


def _shares(models: tuple[Model, ...], genres: list[str], metric: str) -> NDArray[np.float64]:
    wanted = pl.DataFrame({"genre": genres})
    value = pl.col(metric).cast(pl.Float64)
    if metric == "precision":  # which is zero in the table for what was never predicted, as macro means want it
        value = pl.when(pl.col("tp") + pl.col("fp") > 0).then(value)
    columns = [
        wanted.join(model.per_genre, on="genre", how="left", maintain_order="left").select(value).to_series()
        for model in models
    ]
    return np.column_stack([column.fill_null(float("nan")).to_numpy() for column in columns])


def say_heat(values: NDArray[np.float64], genres: list[str], models: list[str], which: str) -> str:
    """Say which genre the models differ most on, by F1, and which model is most often the best.

    Args:
        values: F1, genres x models; NaN where undefined.
        genres: of the rows.
        models: of the columns.
        which: whether these are the genres with "fewest" or with "most" movies.
    """
    if len(genres) == 1:
        return _say_only(values[0], f"{genres[0]}, the genre with {which} movies,", models)
    what = f"the {len(genres)} genres with {which} movies"
    rows = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not rows.size:
        return f"Of {what}, none has a test movie."
    known, names = values[rows], [genres[row] for row in rows]
    if len(models) == 1:
        row = int(known.argmax())
        best = figure(float(known[row, 0]), 2)
        return f"There is one model; of {what}, it tells {names[row]} best, with an F1 of {best}."
    row = int(np.ptp(known, axis=1).argmax())
    if not np.ptp(known[row]):
        return f"On each of {what}, all models have the same F1."
    if not _differ(known[row]):
        return f"On each of {what}, the F1 of all models is the same to 0.01."
    widest = f"the models differ most on {names[row]}: {_say_range(known[row], models)}"
    return f"Of {what}, {widest}. {_say_wins(known, models)}"


def _say_only(values: NDArray[np.float64], genre: str, models: list[str]) -> str:
    """Say what the models do on the only genre of a heat map."""
    if not np.isfinite(values).all():
        return f"{genre} has no test movie."
    if len(models) == 1:
        return f"There is one model; its F1 on {genre} is {figure(float(values[0]), 2)}."
    if not _differ(values):
        return f"On {genre} all models have the same F1, {figure(float(values[0]), 2)}."
    return f"On {genre} {_say_range(values, models)}."


def _differ(values: NDArray[np.float64]) -> bool:
    return figure(float(values.min()), 2) != figure(float(values.max()), 2)


def _say_range(values: NDArray[np.float64], models: list[str]) -> str:
    """Say from where to where F1 goes, with all models that stand at the ends."""
    ends = (figure(float(value), 2) for value in (values.min(), values.max()))
    told = []
    for end in ends:
        there = [model for model, value in zip(models, values, strict=True) if figure(float(value), 2) == end]
        told.append(f"{end} ({listed(there) if len(there) <= MOST_NAMED else f'{len(there)} models'})")
    return f"F1 goes from {told[0]} to {told[1]}"


def _say_wins(known: NDArray[np.float64], models: list[str]) -> str:
    """Say which models have the highest F1 on most genres, of which at least one is found by some model."""
    found = known[known.max(axis=1) > 0]  # nobody wins a genre that nobody finds
    wins = (found == found.max(axis=1, keepdims=True)).sum(axis=0)
    winners = [model for model, count in zip(models, wins, strict=True) if count == wins.max()]
    who = listed(winners) if len(winners) <= MOST_NAMED else f"{len(winners)} models"
    never = f"; {len(known) - len(found)} no model finds" if len(found) < len(known) else ""
    have = "has" if len(winners) == 1 else "each have"
    return f"{who} {have} the highest F1, or the same, on {wins.max()} of {len(known)}{never}."


STRONGEST: Final = 5  # features of a genre
FEWEST_MOVIES: Final = 3  # a feature of fewer is an anecdote, unless there is no other


def features_section(sources: Sources, further: Sequence[Picture]) -> Section | None:
    """Show the strongest features of each genre for the first model that tells them, and the given pictures."""
    model = next((model for model in sources.models if (model.folder / "importance.parquet").is_file()), None)
    blocks: list[Any] = list(further)
    if model is not None and (table := _strongest(model)) is not None:
        blocks[:0] = [Words(say_strongest(model.name, table)), _features_table(table)]
    return Section("features", "What speaks for a genre", blocks) if blocks else None


def say_strongest(model: str, table: pl.DataFrame) -> str:
    """Name the strongest feature of all."""
    top = table.sort("weight", "genre", descending=[True, False]).row(0, named=True)
    return (
        f"Strongest for {model}: “{top['feature']}” for {top['genre']}, which adds {top['weight']:.2f} to its log-odds "
        "in the "
        f"mean of {counted(top['movies'], 'movie')}."
    )


def _strongest(model: Model) -> pl.DataFrame | None:
    table = model.optional_table("importance.parquet")
    if table is None:
        return None
    table = table.filter(pl.col("weight") > 0)
    frequent = table.filter(pl.col("movies") >= FEWEST_MOVIES)
    table = table if frequent.is_empty() else frequent
    ordered = table.sort("genre", "weight", "feature", descending=[False, True, False])
    return None if ordered.is_empty() else ordered.group_by("genre", maintain_order=True).head(STRONGEST)


def _features_table(table: pl.DataFrame) -> Table:
    genres = table.group_by("genre", maintain_order=True).agg("feature", "weight")
    rows = []
    for genre, features, weights in genres.iter_rows():
        said = ", ".join(f"{feature} +{weight:.2f}" for feature, weight in zip(features, weights, strict=True))
        rows.append((Cell(genre), Cell(said)))
    heads = [Column("Genre"), Column("Strongest words and fields, with what they add to the log-odds on average")]
    return Table("strongest", "Strongest words and fields of each genre", heads, rows)


SHOWN: Final = 20
_HEADS: Final = {
    "movie_name": "Movie",
    "given_genres": "Genres in the listings",
    "doubted": "In doubt",
    "quality": "Quality",
    "reason": "Why",
}


def labels_section(sources: Sources) -> Section | None:
    """Show the movies whose labels are most in doubt, or None where no audit was made."""
    audit = sources.audit
    if audit is None:
        return None
    blocks: list[Any] = [Words(say_audit(audit))]
    columns = [name for name in _HEADS if name in audit.columns]
    if audit.height:
        heads = [Column(_HEADS[name], is_number=name == "quality") for name in columns]
        rows = [[_label_cell(row[name]) for name in columns] for row in audit.head(SHOWN).iter_rows(named=True)]
        caption = "Labels most in doubt" if audit.height <= SHOWN else f"The {SHOWN} labels most in doubt"
        blocks.append(Table("doubted", caption, heads, rows, is_sortable=True))
    effect = optional_table(sources.paths.results / LABEL_AUDIT_EFFECT_FILE)
    if effect is not None and _is_of_these_movies(sources.paths):
        blocks.append(_effect_table(effect))
    return Section("labels", "Labels in doubt", blocks)


def say_audit(audit: pl.DataFrame) -> str:
    """Say how many labels are doubted, and of which genre most."""
    if audit.is_empty():
        return "The label audit doubts no movie."
    genres = audit["doubted"].str.split("; ").explode().str.extract(r"^(?:lacks|is not) (.+)$").drop_nulls()
    counts = genres.value_counts().sort("count", "doubted", descending=[True, False])
    top = counts.row(0) if counts.height else None
    most = (
        f", most often about {top[0]} ({percent(top[1] / audit.height)} of them)" if top and counts.height > 1 else ""
    )
    movies = audit["movie_id"].n_unique()
    by = listed(audit["scores_from"].drop_nulls().unique().sort().to_list()) if "scores_from" in audit.columns else ""
    return (
        f"The scores{f' of {by}' if by else ''} contradict the listings for {counted(movies, 'movie')}{most}. "
        "A doubt is a hint: look before anything is changed."
    )


def _is_of_these_movies(paths: DataPaths) -> bool:
    """Whether the effect of dropping doubted movies was measured, and on the movies that the page is about."""
    measured = read_json(paths.results / "label_audit_effect.stage.json").get("counts", {}).get("splits")
    return measured is not None and paths.splits.is_file() and measured == hash_file(paths.splits)


def _effect_table(effect: pl.DataFrame) -> Table:
    heads = [Column(name.replace("_", " "), effect[name].dtype.is_numeric()) for name in effect.columns]
    rows = [[_label_cell(value) for value in row] for row in effect.iter_rows()]
    return Table("audit-effect", "What leaving out the doubted movies changes", heads, rows)


def _label_cell(value: Any) -> Cell:
    if value is None:
        return Cell("\N{EN DASH}")
    return (
        Cell(figure(value), value)
        if isinstance(value, float)
        else Cell(str(value), value if isinstance(value, int) else None)
    )


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


def summary_section(sources: Sources, facts: RunFacts) -> Section:
    """Say in a few numbers and sentences what the run found."""
    board, best = sources.leaderboard, sources.best
    hopeless = len(impossible_movies(sources.models))
    sentences = [
        say_leader(board),
        say_use(best.jaccard),
        say_genres(best.per_genre),
        say_undefined(best.per_genre),
        f"{counted(hopeless, 'movie')} {'is' if hopeless == 1 else 'are'} out of reach of every model."
        if hopeless and len(sources.models) > 1
        else "",
        with_minus(facts.promotion[:1].upper() + facts.promotion[1:]),
    ]
    blocks: list[Any] = [Tiles(_tiles(sources)), *(Words(sentence) for sentence in sentences if sentence)]
    return Section("summary", "In short", blocks)


def say_use(jaccard: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Say in plain words what the best model's answers are worth."""
    known = jaccard[np.isfinite(jaccard)]
    if not known.size:
        return "No test movie has a genre, so that nothing can be said of the answers."
    return (
        f"Of a hundred movies that it has never seen, the best model gets at least one genre right for "
        f"{percent(float(np.mean(known > 0))).removesuffix(' %')}, and exactly the right set for "
        f"{percent(float(np.mean(known == 1))).removesuffix(' %')}."
    )


def _tiles(sources: Sources) -> list[Tile]:
    first = sources.leaderboard.row(0, named=True)
    rows = [
        ("test_jaccard", "Jaccard on test", "overlap of predicted and true genres"),
        ("test_f1_macro", "F1 (macro)", "mean over genres, the rare ones count as much"),
        ("test_at_least_one", "at least one right", "share of movies"),
        ("test_exact_match", "all right", "share of movies"),
    ]
    tiles = [Tile(sources.best.name, "best model", f"of {counted(len(sources.models), 'model')}")]
    for column, title, note in rows:
        value = first.get(column)
        is_share = column in {"test_at_least_one", "test_exact_match"}
        written = percent(value) if is_share and value is not None else figure(value)
        tiles.append(Tile(written, title, _interval(first, column) or note))
    return tiles


def _interval(row: dict[str, Any], column: str) -> str:
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    return "" if low is None or high is None else f"95 % interval {figure(low)} to {figure(high)}"
