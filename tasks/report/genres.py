"""The report's sections about genres: F1, wrong predictions in place of missed genres, top features, labels."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.files import hash_file
from tasks.core.page import UNDEFINED, Cell, Column, Picture, Section, Table, Text, counted, number
from tasks.core.settings import DataPaths
from tasks.report.figures import count_instead, draw_genre_model_map, draw_genres, draw_instead
from tasks.report.leaderboard import read_json
from tasks.report.sources import LABEL_AUDIT_EFFECT_FILE, Sources, optional_table, say

MOST_MODELS: Final = 16  # in the map
FEWEST_FOR_TREND: Final = 4  # genres; any three are in one of six orders
FEWEST_FOR_OUTLIER: Final = 6
NO_OUTLIER: Final = 0.95  # rank correlation above which all genres follow the trend
_METRICS: Final = {"genre": "Genre", "support": "test movies", "predicted": "predicted", "precision": "precision",
                   "recall": "recall", "f1": "F1", "average_precision": "average precision"}  # fmt: skip


def genres_section(sources: Sources) -> Section:
    """Show the best model's F1 per genre, that of all models, and what is predicted in place of missed genres."""
    best, table = sources.best, sources.best.per_genre
    genres = table["genre"].to_list()
    instead = count_instead(best.predictions, genres)
    said, missed = f"{say_genres(table)} {say_support(table)}", f"{say_instead(instead, genres)} {say_confusion(table)}"
    draw = partial(draw_instead, instead, genres)
    undefined = say_undefined(table)
    blocks = [
        *([Text(undefined)] if undefined else []),
        Picture("genres", f"F1 per genre of {best.name}", said, partial(draw_genres, table)),
        _map(sources),
        Picture("predicted_instead", "Predicted in place of a missed genre", missed, draw, is_wide=True),
        _table_of(table, _METRICS, "per-genre", "All metrics per genre"),
    ]
    return Section("genres", "Genre by genre", blocks)


def say_undefined(table: pl.DataFrame) -> str:
    """Name the genres that no test movie has, if any."""
    return say("no_test_movie", genres=table.filter(pl.col("support") == 0)["genre"].to_list())


def say_genres(table: pl.DataFrame) -> str:
    """Name the genres with the highest and the lowest F1, and those that were never found."""
    known = table.drop_nulls("f1").filter(pl.col("support") > 0).sort("f1", "genre", descending=[True, False])
    return say("best_and_worst_genre", known=known.to_dicts(), never=known.filter(pl.col("tp") == 0)["genre"].to_list())


def say_support(table: pl.DataFrame) -> str:
    """Say how F1 depends on the number of movies, and which genre departs most from that."""
    known = table.drop_nulls("f1").filter(pl.col("support") > 0)
    facts: dict[str, Any] = {"rho": None, "outlier": None, "is_above": False}
    if known.height >= FEWEST_FOR_TREND and known["support"].n_unique() > 1 and known["f1"].n_unique() > 1:
        ranks = [known[name].rank().to_list() for name in ("support", "f1")]
        facts["rho"] = rho = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
        if known.height >= FEWEST_FOR_OUTLIER and abs(rho) < NO_OUTLIER:
            x, y = np.log(known["support"].to_numpy()), known["f1"].to_numpy()
            off = y - np.polyval(np.polyfit(x, y, 1), x)
            row = int(np.abs(off).argmax())
            facts |= {"outlier": known.row(row, named=True), "is_above": off[row] > 0}
    return say("f1_by_support", **facts)


def say_confusion(table: pl.DataFrame) -> str:
    """Name the genres that are most often missed and most often wrongly predicted, as shares."""
    facts: dict[str, Any] = {}
    for name, wrong, of in (("missed", "fn", pl.col("support")), ("wrong", "fp", pl.col("tp") + pl.col("fp"))):
        shares = table.filter(of > 0).select("genre", share=pl.col(wrong) / of)
        highest = shares.filter(pl.col("share") == pl.col("share").max())
        facts |= {name: highest["genre"].sort().to_list(), f"{name}_share": highest["share"].max()}
    return say("errors", **facts)


def say_instead(instead: NDArray[np.float64], genres: list[str]) -> str:
    """Name the most frequent pair of a missed genre and a wrong one that was predicted."""
    wrong, (nothing, misses) = instead[:, : len(genres)], instead[:, -2:].sum(axis=0)
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    pair = {"predicted": genres[column], "missed": genres[row], "count": int(wrong[row, column])}
    return say("instead", misses=misses, nothing_wrong=nothing, of=int(instead[row, -1]), **pair)


def _table_of(table: pl.DataFrame, titles: Mapping[str, str], name: str, caption: str, is_folded: bool = True) -> Table:
    """Show the columns that have a title; texts are no keys to sort by, but genres are."""
    shown = table.select(column for column in titles if column in table.columns)
    heads = [Column(titles[column], kind.is_numeric()) for column, kind in shown.schema.items()]
    rows = [
        [_cell(value, is_key=column == "genre") for column, value in row.items()] for row in shown.iter_rows(named=True)
    ]
    return Table(name, caption, heads, rows, is_sortable=is_folded, is_folded=is_folded)


def _cell(value: Any, *, is_key: bool) -> Cell:
    if isinstance(value, float):
        return Cell(number(value), value)
    if isinstance(value, int):
        return Cell(f"{value:,}", value)
    return Cell(UNDEFINED if value is None else str(value), value if is_key else None)


def _map(sources: Sources) -> Picture:
    """Show F1 of the best models on all genres, the genres with most test movies first."""
    support = sources.best.per_genre.select("genre", "support").sort("support", "genre", descending=[True, False])
    models, genres = sources.models[:MOST_MODELS], support["genre"].to_list()
    names = [model.name for model in models]
    # A genre that a model lacks is undefined.
    by_genre = (dict(model.per_genre.select("genre", pl.col("f1").cast(pl.Float64)).iter_rows()) for model in models)
    f1 = np.array([[known.get(genre) for genre in genres] for known in by_genre], dtype=np.float64)
    left_out = len(sources.models) - len(models)
    more = f" Left out: the last {counted(left_out, 'model')} of the leaderboard." if left_out else ""
    if np.isnan(f1).any():
        more += " A dash is undefined: the genre has no test movie."
    labels = [f"{genre} ({count:,})" for genre, count in support.iter_rows()]
    said, draw = say_map(f1, names, genres) + more, partial(draw_genre_model_map, f1, names, labels)
    return Picture("genre_model_map", "F1 of all models on all genres", said, draw, is_wide=True)


def say_map(f1: NDArray[np.float64], models: list[str], genres: list[str]) -> str:
    """Say which genre the models differ most on, and which model is most often the best, by (models × genres) F1."""
    known_columns = np.flatnonzero(np.isfinite(f1).all(axis=0))
    known = f1[:, known_columns]
    if not known.size:
        return say("genre_model_map", genres=0)
    column = int((np.ptp(known, axis=0) if len(models) > 1 else known[0]).argmax())
    values = [number(float(value), 2) for value in known[:, column]]
    ends = [values[known[:, column].argmin()], values[known[:, column].argmax()]]
    at_ends = [(end, list(compress(models, (value == end for value in values)))) for end in ends]
    found = known[:, known.max(axis=0) > 0]
    wins = (found == found.max(axis=0)).sum(axis=1)
    facts = {"genres": known.shape[1], "found": found.shape[1], "models": models, "wins": wins.max()}
    winners, widest = list(compress(models, wins == wins.max())), genres[known_columns[column]]
    return say("genre_model_map", **facts, widest=widest, ends=at_ends, winners=winners)


STRONGEST: Final = 5  # features of a genre
FEWEST_MOVIES: Final = 3  # features of fewer are shown only if there are no others
FEW_MOVIES: Final = 20  # a feature of fewer comes with a warning


def features_section(sources: Sources, pictures: Sequence[Picture]) -> Section | None:
    """Show the strongest features of each genre for the first model that was explained, and the given pictures."""
    blocks: list[Any] = list(pictures)
    importances = ((model.name, optional_table(model.folder / "importance.parquet")) for model in sources.models)
    name, table = next((each for each in importances if each[1] is not None), ("", None))
    if table is not None and (strongest := _strongest(table)).height:
        top = strongest.sort("weight", "genre", descending=[True, False]).row(0, named=True)
        sentences = (say("strongest_feature", model=name, top=top), say_rare_features(strongest))
        weight = pl.col("weight").map_elements("{:.2f}".format, pl.String)
        said = pl.format("{} +{} ({})", "feature", weight, "movies").str.join(", ")
        rows = strongest.group_by("genre", maintain_order=True).agg(said.alias("said")).iter_rows()
        words = "Words and fields, their mean contribution to the log-odds, and the number of movies with them"
        heads, cells = [Column("Genre"), Column(words)], [tuple(map(Cell, row)) for row in rows]
        table_of_words = Table("strongest", "Strongest words and fields of each genre", heads, cells)
        blocks[:0] = [*(Text(sentence) for sentence in sentences if sentence), table_of_words]
    return Section("features", "Top features", blocks) if blocks else None


def say_rare_features(table: pl.DataFrame) -> str:
    """Warn of strong features of few movies."""
    rare = table.filter(pl.col("movies") < FEW_MOVIES).sort("weight", "genre", descending=[True, False])
    return say("rare_features", rare=rare.to_dicts(), all=table.height, few=FEW_MOVIES)


def _strongest(importance: pl.DataFrame) -> pl.DataFrame:
    raising = importance.filter(pl.col("weight") > 0)
    raising = raising.sort("genre", "weight", "feature", descending=[False, True, False])
    frequent = raising.filter(pl.col("movies") >= FEWEST_MOVIES)
    return (raising if frequent.is_empty() else frequent).group_by("genre", maintain_order=True).head(STRONGEST)


SHOWN: Final = 20
_HEADS: Final = {"movie_name": "Movie", "given_genres": "Genres in the listings", "doubted": "In doubt",
                 "quality": "Quality", "reason": "Why"}  # fmt: skip


def labels_section(sources: Sources) -> Section | None:
    """Show the movies with the most doubtful labels; None if there was no audit."""
    audit = sources.audit
    if audit is None:
        return None
    blocks: list[Any] = [Text(say_audit(audit))]
    if audit.height:
        caption = "Doubtful labels" if audit.height <= SHOWN else f"The {SHOWN} most doubtful labels"
        blocks.append(_table_of(audit.head(SHOWN), _HEADS, "doubted", caption))
    effect = optional_table(sources.paths.results / LABEL_AUDIT_EFFECT_FILE)
    if effect is not None and _is_of_these_movies(sources.paths):
        titles = {name: name.replace("_", " ") for name in effect.columns}
        blocks.append(_table_of(effect, titles, "audit-effect", "Effect of leaving out the doubtful movies", False))
    return Section("labels", "Doubtful labels", blocks)


def say_audit(audit: pl.DataFrame) -> str:
    """Say how many labels are doubtful, and of which genre most."""
    genres = audit["doubted"].str.split("; ").explode().str.extract(r"^(?:lacks|is not) (.+)$").drop_nulls()
    counts = genres.value_counts().sort("count", "doubted", descending=[True, False])
    genre, count = counts.row(0) if counts.height > 1 else ("", 0)
    named = audit["scores_from"].drop_nulls().unique().sort().to_list() if "scores_from" in audit.columns else []
    by = [each.replace(", ", " on ") for each in named]
    movies = audit["movie_id"].n_unique()
    return say("label_audit", movies=movies, genre=genre, share=count / max(audit.height, 1), scores_from=by)


def _is_of_these_movies(paths: DataPaths) -> bool:
    """Return whether the effect of dropping doubtful movies was measured, and on the movies of the page."""
    measured = read_json(paths.results / "label_audit_effect.stage.json").get("counts", {}).get("splits")
    return measured is not None and paths.splits.is_file() and measured == hash_file(paths.splits)
