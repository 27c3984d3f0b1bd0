"""Two models side by side: where one is better, and which movies only one of them gets right. Owns the stage.

A movie is got right where exactly its true genres are decided.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tasks.core.errors import ConfigError
from tasks.core.figures import (
    ALL_FORMS,
    BLUE,
    INK,
    ORANGE,
    drawable,
    name_rows,
    new_figure,
    picture_files,
    write_picture,
)
from tasks.core.files import hash_file
from tasks.core.markup import escape_markdown, markdown_table, write_safe_csv
from tasks.core.metrics import CHOICES, Floats, Interval, Resampled, interval, movie_metrics, resample
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, Decisions, read_decisions
from tasks.core.settings import DataPaths
from tasks.report.leaderboard import defined
from tasks.stage import Stage, StageResult, run_stage

WIDTH_IN = 7.2
UNSURE = "#8C8C8C"
LONGEST_NAME = 30


def draw_versus(genres: pl.DataFrame) -> Figure:
    """Draw each genre's difference in F1 with its 95 % interval, the greatest first; undefined ones come last.

    Args:
        genres: as `tasks.report.versus.compare_genres` returns them.
    """
    ordered = genres.sort("f1_difference", "genre", descending=[True, False], nulls_last=True)
    figure = new_figure(WIDTH_IN, 1.3 + 0.27 * ordered.height)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ends = ordered.select(pl.col(f"f1_{end}").cast(pl.Float64) for end in ("difference", "low", "high")).to_numpy()
    for row, (value, low, high) in enumerate(ends):
        if np.isnan(value):
            axes.annotate("undefined", (0, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
            continue
        colour = BLUE if low > 0 else ORANGE if high < 0 else UNSURE
        axes.plot([low, high], [row, row], color=colour, linewidth=2, zorder=2)
        axes.plot(value, row, "o", color=colour, markersize=6, zorder=3)
    name_rows(axes, [f"{genre}: {count:,}" for genre, count in ordered.select("genre", "support").iter_rows()])
    axes.margins(x=0.06)
    first, second = (drawable(str(genres[name][0]), LONGEST_NAME) for name in ("first", "second"))
    figure.supxlabel(f"F1 of {first} less that of {second}; behind a genre: its test movies", fontsize=9.5)
    texts = {BLUE: f"{first} surely better", ORANGE: f"{second} surely better", UNSURE: "interval holds zero"}
    marks = [Line2D([], [], color=colour, marker="o", label=text) for colour, text in texts.items()]
    figure.legend(handles=marks, loc="outside upper left", ncols=3, fontsize=9)
    return figure


SHOWN_MOVIES: Final = 10
NOTHING: Final = "\N{EN DASH}"


def render_versus(
    models: Sequence[str],
    overall: Mapping[str, tuple[float, float, Interval]],
    genres: pl.DataFrame,
    movies: pl.DataFrame,
) -> str:
    """Return what sets two models apart, as Markdown.

    Args:
        models: their names.
        overall: of each metric in `CHOICES` both values and the interval of the first less the second.
        genres: as `tasks.report.versus.compare_genres` returns them.
        movies: as `tasks.report.versus.list_movies` returns them.
    """
    first, second = (escape_markdown(name) for name in models)
    parts = [
        f"# {first} and {second}\n",
        f"{_sentence(first, second, genres)} In brackets: 95 % intervals of the difference, by a paired bootstrap.\n",
        markdown_table(["on test", first, second, "difference"], [_overall_row(*row) for row in overall.items()]),
        "## Genres\n",
        _genre_table(first, second, genres),
        *(_movie_part(right, wrong, movies) for right, wrong in (tuple(models), tuple(models)[::-1])),
    ]
    return "\n".join(parts)


def _sentence(first: str, second: str, genres: pl.DataFrame) -> str:
    surely = [
        genres.filter(pl.col("f1_low") > 0)["genre"].to_list(),
        genres.filter(pl.col("f1_high") < 0)["genre"].to_list(),
    ]
    n_known = genres["f1_difference"].count()
    undecided = n_known - len(surely[0]) - len(surely[1])
    told = [
        f"{name} has surely more F1 in {len(better)} of {n_known} genres{_listed(better)}"
        for name, better in zip((first, second), surely, strict=True)
    ]
    undefined = genres.filter(pl.col("f1_difference").is_null())["genre"].to_list()
    missing = (
        f" No test movie is {', '.join(map(escape_markdown, undefined))}, so nothing is said of it."
        if undefined
        else ""
    )
    return (
        f"{told[0]}; {told[1]}; in {undecided} the interval holds zero. Of so many intervals about one in twenty lies "
        f"off zero by chance.{missing}"
    )


def _listed(genres: Sequence[str]) -> str:
    return f" ({', '.join(map(escape_markdown, genres))})" if genres else ""


def _overall_row(metric: str, values: tuple[float, float, Interval]) -> list[str]:
    first, second, difference = values
    return [
        escape_markdown(metric.replace("_", " ")),
        f"{first:.4f}",
        f"{second:.4f}",
        _with_ends(difference.value, difference.low, difference.high),
    ]


def _genre_table(first: str, second: str, genres: pl.DataFrame) -> str:
    header = [
        "genre",
        "movies",
        f"F1 {first}",
        f"F1 {second}",
        "F1 difference",
        "precision difference",
        "recall difference",
    ]
    header += [f"only {first} right", f"only {second} right"]
    rows = [
        [
            escape_markdown(row["genre"]),
            f"{row['support']:,}",
            _written(row["first_f1"]),
            _written(row["second_f1"]),
            _with_ends(row["f1_difference"], row["f1_low"], row["f1_high"]),
            _signed(row["precision_difference"]),
            _signed(row["recall_difference"]),
            f"{row['only_first_right']:,}",
            f"{row['only_second_right']:,}",
        ]
        for row in genres.sort("f1_difference", "genre", descending=[True, False], nulls_last=True).iter_rows(
            named=True
        )
    ]
    return markdown_table(header, rows)


def _movie_part(right: str, wrong: str, movies: pl.DataFrame) -> str:
    listed = movies.filter(pl.col("right") == right)
    title = f"## Only {escape_markdown(right)} is right: {listed.height:,} movie{'' if listed.height == 1 else 's'}\n"
    if listed.is_empty():
        return title
    shown = listed.head(SHOWN_MOVIES)
    rows = [
        [escape_markdown(str(row[name] or "")) for name in ("movie_name", "movie_id", "true_genres", "wrong_genres")]
        for row in shown.iter_rows(named=True)
    ]
    more = "" if shown.height == listed.height else "\nAll of them are in `versus_movies.csv`.\n"
    header = ["movie", "id", "genres", f"{escape_markdown(wrong)} says"]
    return f"{title}\n{markdown_table(header, rows, len(header))}{more}"


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return NOTHING
    return f"{value:+.3f} \\[{low:+.3f}, {high:+.3f}\\]"


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.3f}"


def _written(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


logger = logging.getLogger(__name__)

GENRES_FILE, MOVIES_FILE, TEXT_FILE = "versus.csv", "versus_movies.csv", "versus.md"
PICTURE: Final = "versus"
TABLES: Final = (GENRES_FILE, MOVIES_FILE, TEXT_FILE)
PICTURES: Final = picture_files([PICTURE], ALL_FORMS)
TRAINING_SIDECAR: Final = "train.stage.json"


def write_versus(
    ranked: Sequence[Path], pair: Sequence[str], paths: DataPaths, *, draws: bool = True
) -> StageResult | None:
    """Write `versus.csv` (genres), `versus_movies.csv` and `versus.md`; None where there is one model only.

    Args:
        ranked: folders of evaluated models, the best first.
        pair: names of two of them; empty: the best, and the best of another kind.
        paths: the data folder, for the names of movies.
        draws: whether to write a picture too.

    Raises:
        ConfigError: a named model is not among them.
        DataError: what a model left is missing or damaged, or both were not tested on the same movies.
    """
    if len(ranked) < 2 and not pair:
        logger.info("one model only: there is no other to set it beside")
        for name in (*TABLES, *PICTURES):
            (paths.results / name).unlink(missing_ok=True)  # an earlier run's
        return None
    first, second = choose_pair(ranked, pair)
    left = [folder / name for folder in (first, second) for name in (PREDICTIONS_FILE, RULES_FILE)]
    # Inputs are told apart by their file name, which is the same in both folders: so their contents go into the config.
    config = {f"{path.parent.name}/{path.name}": hash_file(path) for path in left if path.is_file()}
    inputs = (paths.movies,) if paths.movies.is_file() else ()
    outputs = (*TABLES, *PICTURES) if draws else TABLES
    code, packages = (Path(__file__),), ("matplotlib", "numpy", "polars")
    stage = Stage("versus", paths.results, outputs, inputs, {"pair": config}, code, packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        decisions = read_decisions([first, second])
        resampled = resample(decisions.truth, decisions.decided)
        genres, movies = compare_genres(decisions, resampled), list_movies(decisions, inputs)
        write_safe_csv(genres, folder / GENRES_FILE)
        write_safe_csv(movies, folder / MOVIES_FILE)
        overall = {name: _three(resampled.metrics[name]) for name in CHOICES}
        text = render_versus(decisions.models, overall, genres, movies)
        (folder / TEXT_FILE).write_text(text, encoding="utf-8")
        if draws:
            write_picture(folder, PICTURE, partial(draw_versus, genres), ALL_FORMS)
        by_model = movies["right"].value_counts().rows()
        return {"pair": list(decisions.models), "only_one_right": dict(sorted(by_model))}

    return run_stage(stage, build)


def check_pair(pair: Sequence[str], names: Sequence[str]) -> None:
    """Refuse models that are not among those that are compared.

    Raises:
        ConfigError: a named model is not among them.
    """
    if missing := [name for name in pair if name not in names]:
        raise ConfigError(f"--pair: {', '.join(missing)} is not among the models compared: {', '.join(names)}")


def choose_pair(ranked: Sequence[Path], pair: Sequence[str]) -> tuple[Path, Path]:
    """Return the folders of the named models; if none, of the first and of the first of another kind than that.

    Raises:
        ConfigError: a named model is not among them.
    """
    by_name = {folder.name: folder for folder in ranked}
    check_pair(pair, list(by_name))
    if pair:
        return by_name[pair[0]], by_name[pair[1]]
    first, *others = ranked
    return first, next((folder for folder in others if _kind(folder) != _kind(first)), others[0])


def compare_genres(decisions: Decisions, resampled: Resampled) -> pl.DataFrame:
    """Return one row a genre, in genre order: both models' figures and how much more the first has, with intervals.

    Columns: `genre`, `support`, `first` and `second` (the models); for `f1`, `precision` and `recall` each
    `first_<metric>`, `second_<metric>`, `<metric>_difference`, `<metric>_low`, `<metric>_high`, null for a genre
    without a positive; `only_first_right`, `only_second_right`: for how many movies only one decides this genre right.
    """
    truth, (first, second) = decisions.truth, decisions.decided
    columns: dict[str, Any] = {
        "genre": decisions.genres,
        "support": truth.sum(axis=0),
        "first": [decisions.models[0]] * len(decisions.genres),
        "second": [decisions.models[1]] * len(decisions.genres),
    }
    for metric in ("f1", "precision", "recall"):
        values = resampled.per_genre[metric]
        found = [_three(values[:, :, genre]) for genre in range(len(decisions.genres))]
        columns[f"first_{metric}"] = [defined(first_value) for first_value, _, _ in found]
        columns[f"second_{metric}"] = [defined(second_value) for _, second_value, _ in found]
        for end, name in (("value", "difference"), ("low", "low"), ("high", "high")):
            columns[f"{metric}_{name}"] = [defined(getattr(difference, end)) for _, _, difference in found]
    columns["only_first_right"] = ((first == truth) & (second != truth)).sum(axis=0)
    columns["only_second_right"] = ((second == truth) & (first != truth)).sum(axis=0)
    return pl.DataFrame(columns)


def list_movies(decisions: Decisions, movies_files: Sequence[Path]) -> pl.DataFrame:
    """Return the movies that exactly one model gets right, those of the first before those of the second.

    Columns: `right`, `wrong` (the models), `movie_id`, `movie_name`, `true_genres`, `wrong_genres` (what the other
    decided), `wrong_jaccard`. Of each model those come first with which the other fails most.
    """
    truth = decisions.truth
    right = [(labels == truth).all(axis=1) for labels in decisions.decided]
    parts = []
    for model, other in ((0, 1), (1, 0)):
        rows = np.flatnonzero(right[model] & ~right[other])
        decided = decisions.decided[other][rows]
        part = {
            "movie_id": [decisions.movie_ids[row] for row in rows],
            "true_genres": _names(decisions.genres, truth[rows]),
            "wrong_genres": _names(decisions.genres, decided),
            "wrong_jaccard": pl.Series(movie_metrics(truth[rows], decided)[:, 0], dtype=pl.Float64).fill_nan(None),
        }
        schema = {"movie_id": pl.String, "true_genres": pl.String, "wrong_genres": pl.String}
        models = (pl.lit(decisions.models[each]).alias(kind) for each, kind in ((model, "right"), (other, "wrong")))
        listed = pl.DataFrame(part, schema_overrides=schema).with_columns(*models).sort("wrong_jaccard", "movie_id")
        parts.append(listed)
    return (
        pl.concat(parts)
        .join(_movie_names(movies_files), on="movie_id", how="left", maintain_order="left")
        .select("right", "wrong", "movie_id", "movie_name", "true_genres", "wrong_genres", "wrong_jaccard")
    )


def _movie_names(movies_files: Sequence[Path]) -> pl.DataFrame:
    tables = [pl.read_parquet(path, columns=["movie_id", "movie_name"]) for path in movies_files]
    return pl.concat([pl.DataFrame(schema={"movie_id": pl.String, "movie_name": pl.String}), *tables])


def _three(values: Floats) -> tuple[float, float, Interval]:
    """Return a metric of both models and the interval of their difference."""
    return float(values[0, 0]), float(values[1, 0]), interval(values[0] - values[1])


def _names(genres: Sequence[str], labels: NDArray[np.bool_]) -> list[str]:
    """Return the genres of each movie as one text."""
    return [", ".join(genre for genre, has in zip(genres, row, strict=True) if has) for row in labels]


def _kind(folder: Path) -> str:
    """Return what kind of classifier a model is, by what its training noted; its name where nothing is known."""
    try:
        config = json.loads((folder / TRAINING_SIDECAR).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name
    if "ensemble" in config:
        return "ensemble"
    model = config.get("model", {})
    return str(model.get("classifier", {}).get("kind") or model.get("encoder") or folder.name)
