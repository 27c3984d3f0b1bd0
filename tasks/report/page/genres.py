"""The report's sections about genres: F1, wrong predictions in place of missed genres, top features, labels."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.files import hash_file
from tasks.core.page import Cell, Column, Picture, Section, Table, Text
from tasks.core.settings import DataPaths
from tasks.report.figures import count_instead, draw_genres, draw_instead
from tasks.report.page.figures import draw_genre_model_map
from tasks.report.page.sources import (
    LABEL_AUDIT_EFFECT_FILE,
    UNDEFINED,
    Model,
    Sources,
    counted,
    listed,
    number,
    optional_table,
    percent,
    read_json,
)

MOST_MODELS: Final = 16  # in the map
MOST_NAMED: Final = 3  # models that share an end of a range
FEWEST_FOR_TREND: Final = 4  # genres; any three are in one of six orders
FEWEST_FOR_OUTLIER: Final = 6
NO_OUTLIER: Final = 0.95  # rank correlation above which all genres follow the trend
NONE_MISSED: Final = "No genre was missed in any movie."


def genres_section(sources: Sources) -> Section:
    """Show the best model's F1 per genre, that of all models, and what is predicted in place of missed genres."""
    best, table = sources.best, sources.best.per_genre
    genres = table["genre"].to_list()
    instead = count_instead(best.predictions, genres)
    said = f"{say_genres(table)} {say_support(table)}"
    blocks: list[Any] = [
        Picture("genres", f"F1 per genre of {best.name}", said, partial(draw_genres, table)),
        _map(sources),
        Picture(
            "predicted_instead",
            "Predicted in place of a missed genre",
            f"{say_instead(instead, genres)} {say_confusion(table)}",
            partial(draw_instead, instead, genres),
            is_wide=True,
        ),
        _table(table),
    ]
    if undefined := say_undefined(table):
        blocks.insert(0, Text(undefined))
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
        same = number(first["f1"], 2)
        only = f"{first['genre']} is the only genre with a test movie; its F1 is {same}."
        return only if known.height == 1 else f"All {counted(known.height, 'genre')} have the same F1, {same}."
    never = known.filter(pl.col("tp") == 0)["genre"].to_list()
    more = f" {listed(never)} {'was' if len(never) == 1 else 'were'} never found." if never else ""
    return f"Best genre: {_with_f1(first)}. Worst: {_with_f1(last)}.{more}"


def _with_f1(row: dict[str, Any]) -> str:
    return f"{row['genre']} (F1 {number(row['f1'], 2)}, n = {row['support']:,})"


def say_support(table: pl.DataFrame) -> str:
    """Say how F1 depends on the number of movies, and which genre departs most from that."""
    known = table.drop_nulls("f1").filter(pl.col("support") > 0)
    if known.height < FEWEST_FOR_TREND or known["support"].n_unique() < 2 or known["f1"].n_unique() < 2:
        return "Too few genres differ in F1 and in number of movies to see a trend."
    ranks = [known[name].rank().to_list() for name in ("support", "f1")]
    rho = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    words = {0.6: "clearly rises", 0.3: "rises somewhat", -0.3: "neither rises nor falls", -1.1: "falls"}
    trend = next(word for bound, word in words.items() if rho >= bound)
    said = f"F1 {trend} with the number of movies (rank correlation {number(rho, 2)})"
    if known.height < FEWEST_FOR_OUTLIER or abs(rho) >= NO_OUTLIER:
        return f"{said}."
    x, y = np.log(known["support"].to_numpy()), known["f1"].to_numpy()
    off = y - np.polyval(np.polyfit(x, y, 1), x)
    row = int(np.abs(off).argmax())
    side = "above" if off[row] > 0 else "below"
    return f"{said}; the largest outlier is {_with_f1(known.row(row, named=True))}, {side} the trend."


def say_confusion(table: pl.DataFrame) -> str:
    """Name the genres that are most often missed and most often wrongly predicted, as shares."""
    missed = table.filter(pl.col("support") > 0).with_columns(share=pl.col("fn") / pl.col("support"))
    predicted = pl.col("tp") + pl.col("fp")
    given = table.filter(predicted > 0).with_columns(share=pl.col("fp") / predicted)
    if missed.is_empty() or given.is_empty():
        return "No movie has a genre, or none was predicted."
    (missing, missed_share), (wrong, wrong_share) = (_highest(rows) for rows in (missed, given))
    have, get = ("it" if len(genres) == 1 else "them" for genres in (missing, wrong))
    misses = f"Most often missed: {listed(missing)}, in {percent(missed_share)} of the movies that have {have}."
    alarms = f"Most often wrong: {listed(wrong)}, in {percent(wrong_share)} of the movies that get {get}."
    return f"{misses if missed_share else NONE_MISSED} {alarms if wrong_share else 'No genre was wrongly predicted.'}"


def _highest(table: pl.DataFrame) -> tuple[list[str], float]:
    """Return the genres with the highest share, perhaps several, and that share."""
    highest = float(table["share"].max() or 0)  # type: ignore[arg-type]
    return table.filter(pl.col("share") == highest)["genre"].sort().to_list(), highest


def say_instead(instead: NDArray[np.float64], genres: list[str]) -> str:
    """Name the most frequent pair of a missed genre and a wrong one that was predicted."""
    wrong = instead[:, : len(genres)]
    if not instead[:, -1].any():
        return NONE_MISSED
    nothing = instead[:, -2].sum() / instead[:, -1].sum()
    rest = f"in {percent(nothing)} of all misses, no wrong genre was predicted"
    if not wrong.any():
        return f"No wrong genre was predicted in place of a missed one: {rest}."
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return (
        f"Most frequent: {genres[column]} in {int(wrong[row, column]):,} of "
        f"{counted(int(instead[row, -1]), 'movie')} where {genres[row]} was missed; {rest}."
    )


def _table(table: pl.DataFrame) -> Table:
    titles = {"support": "test movies", "predicted": "predicted", "precision": "precision", "recall": "recall",
              "f1": "F1", "average_precision": "average precision"}  # fmt: skip
    names = [name for name in titles if name in table.columns]
    heads = [Column("Genre"), *(Column(titles[name], True) for name in names)]
    rows = [
        [Cell(row["genre"], row["genre"]), *(_cell(row[name]) for name in names)] for row in table.iter_rows(named=True)
    ]
    return Table("per-genre", "All metrics per genre", heads, rows, is_sortable=True, is_folded=True)


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(number(value), value)
    if isinstance(value, int):
        return Cell(f"{value:,}", value)
    return Cell(UNDEFINED if value is None else str(value))


def _map(sources: Sources) -> Picture:
    """Show F1 of the best models on all genres, the genres with most test movies first."""
    support = sources.best.per_genre.select("genre", "support").sort("support", "genre", descending=[True, False])
    models, genres = sources.models[:MOST_MODELS], support["genre"].to_list()
    names = [model.name for model in models]
    wanted = support.select("genre")
    columns = [
        wanted.join(model.per_genre, on="genre", how="left", maintain_order="left")["f1"].cast(pl.Float64)
        for model in models
    ]
    f1 = np.array([column.fill_null(float("nan")).to_numpy() for column in columns])
    left_out = len(sources.models) - len(models)
    more = f" Left out: the last {counted(left_out, 'model')} of the leaderboard." if left_out else ""
    if np.isnan(f1).any():
        more += " A dash is undefined: the genre has no test movie."
    labels = [f"{genre} ({count:,})" for genre, count in support.iter_rows()]
    draw = partial(draw_genre_model_map, f1, names, labels)
    said = say_map(f1, names, genres) + more
    return Picture("genre_model_map", "F1 of all models on all genres", said, draw, is_wide=True)


def say_map(f1: NDArray[np.float64], models: list[str], genres: list[str]) -> str:
    """Say which genre the models differ most on, and which model is most often the best, by (models × genres) F1."""
    known_columns = np.flatnonzero(np.isfinite(f1).all(axis=0))
    if not known_columns.size:
        return "No genre has a test movie."
    known, names = f1[:, known_columns], [genres[column] for column in known_columns]
    if len(models) == 1:
        column = int(known.argmax())
        return f"There is one model; its F1 is highest on {names[column]}, {number(float(known[0, column]), 2)}."
    column = int(np.ptp(known, axis=0).argmax())
    widest = known[:, column]
    if number(float(widest.min()), 2) == number(float(widest.max()), 2):
        return "On each genre, the F1 of all models is the same to 0.01."
    ends = []
    for end in (number(float(value), 2) for value in (widest.min(), widest.max())):
        there = [model for model, value in zip(models, widest, strict=True) if number(float(value), 2) == end]
        ends.append(f"{end} ({_named(there)})")
    return f"Models differ most on {names[column]}: F1 ranges from {ends[0]} to {ends[1]}. {_say_wins(known, models)}"


def _named(models: list[str]) -> str:
    return listed(models) if len(models) <= MOST_NAMED else f"{len(models)} models"


def _say_wins(known: NDArray[np.float64], models: list[str]) -> str:
    """Say which models have the highest F1 on most of the genres that some model finds."""
    found = known[:, known.max(axis=0) > 0]
    wins = (found == found.max(axis=0)).sum(axis=1)
    winners = [model for model, count in zip(models, wins, strict=True) if count == wins.max()]
    never = known.shape[1] - found.shape[1]
    unfound = f"; no model finds {never} of them" if never else ""
    have = "has the highest F1, or shares it," if len(winners) == 1 else "each have the highest F1, or share it,"
    return f"{_named(winners)} {have} on {wins.max()} of {counted(known.shape[1], 'genre')}{unfound}."


STRONGEST: Final = 5  # features of a genre
FEWEST_MOVIES: Final = 3  # features of fewer are shown only if there are no others
FEW_MOVIES: Final = 20  # a feature of fewer comes with a warning


def features_section(sources: Sources, pictures: Sequence[Picture]) -> Section | None:
    """Show the strongest features of each genre for the first model that was explained, and the given pictures."""
    model = next((model for model in sources.models if (model.folder / "importance.parquet").is_file()), None)
    blocks: list[Any] = list(pictures)
    if model is not None and (table := _strongest(model)) is not None:
        sentences = (say_strongest(model.name, table), say_rare_features(table))
        blocks[:0] = [*(Text(sentence) for sentence in sentences if sentence), _features_table(table)]
    return Section("features", "Top features", blocks) if blocks else None


def say_strongest(model: str, table: pl.DataFrame) -> str:
    """Name the strongest feature of all."""
    top = table.sort("weight", "genre", descending=[True, False]).row(0, named=True)
    return (
        f"Strongest feature of {model}: “{top['feature']}” for {top['genre']}. It adds {top['weight']:.2f} to the "
        f"log-odds on average, over {counted(top['movies'], 'movie')}."
    )


def say_rare_features(table: pl.DataFrame) -> str:
    """Warn of strong features of few movies."""
    rare = table.filter(pl.col("movies") < FEW_MOVIES).sort("weight", "genre", descending=[True, False])
    if rare.is_empty():
        return ""
    top, occur = rare.row(0, named=True), "occurs" if rare.height == 1 else "occur"
    return (
        f"Warning: {rare.height} of {counted(table.height, 'feature')} below {occur} in fewer than {FEW_MOVIES} "
        f"movies, such as “{top['feature']}” for {top['genre']} ({counted(top['movies'], 'movie')}). They may be "
        "coincidence and need not hold for other movies."
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
    weight = pl.col("weight").map_elements("{:.2f}".format, pl.String)
    said = pl.format("{} +{} ({})", "feature", weight, "movies")
    rows = table.group_by("genre", maintain_order=True).agg(said.alias("said")).iter_rows()
    heads = [
        Column("Genre"),
        Column("Words and fields, their mean contribution to the log-odds, and the number of movies with them"),
    ]
    cells = [(Cell(genre), Cell(", ".join(features))) for genre, features in rows]
    return Table("strongest", "Strongest words and fields of each genre", heads, cells)


SHOWN: Final = 20
_HEADS: Final = {
    "movie_name": "Movie",
    "given_genres": "Genres in the listings",
    "doubted": "In doubt",
    "quality": "Quality",
    "reason": "Why",
}


def labels_section(sources: Sources) -> Section | None:
    """Show the movies with the most doubtful labels; None if there was no audit."""
    audit = sources.audit
    if audit is None:
        return None
    blocks: list[Any] = [Text(say_audit(audit))]
    columns = [name for name in _HEADS if name in audit.columns]
    if audit.height:
        heads = [Column(_HEADS[name], is_number=name == "quality") for name in columns]
        rows = [[_cell(row[name]) for name in columns] for row in audit.head(SHOWN).iter_rows(named=True)]
        caption = "Doubtful labels" if audit.height <= SHOWN else f"The {SHOWN} most doubtful labels"
        blocks.append(Table("doubted", caption, heads, rows, is_sortable=True, is_folded=True))
    effect = optional_table(sources.paths.results / LABEL_AUDIT_EFFECT_FILE)
    if effect is not None and _is_of_these_movies(sources.paths):
        blocks.append(_effect_table(effect))
    return Section("labels", "Doubtful labels", blocks)


def say_audit(audit: pl.DataFrame) -> str:
    """Say how many labels are doubtful, and of which genre most."""
    if audit.is_empty():
        return "The label audit found no doubtful movie."
    genres = audit["doubted"].str.split("; ").explode().str.extract(r"^(?:lacks|is not) (.+)$").drop_nulls()
    counts = genres.value_counts().sort("count", "doubted", descending=[True, False])
    most = ""
    if counts.height > 1:
        most = f", most often about {counts[0, 0]} ({percent(counts[0, 1] / audit.height)} of them)"
    movies = audit["movie_id"].n_unique()
    by = listed(audit["scores_from"].drop_nulls().unique().sort().to_list()) if "scores_from" in audit.columns else ""
    return (
        f"The scores{f' of {by}' if by else ''} contradict the listings for {counted(movies, 'movie')}{most}. "
        "This is a hint: check a label before you change it."
    )


def _is_of_these_movies(paths: DataPaths) -> bool:
    """Return whether the effect of dropping doubtful movies was measured, and on the movies of the page."""
    measured = read_json(paths.results / "label_audit_effect.stage.json").get("counts", {}).get("splits")
    return measured is not None and paths.splits.is_file() and measured == hash_file(paths.splits)


def _effect_table(effect: pl.DataFrame) -> Table:
    heads = [Column(name.replace("_", " "), effect[name].dtype.is_numeric()) for name in effect.columns]
    rows = [[_cell(value) for value in row] for row in effect.iter_rows()]
    return Table("audit-effect", "Effect of leaving out the doubtful movies", heads, rows)
