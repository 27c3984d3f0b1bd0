"""Comparison of two models: F1 by genre, and the movies for which only one predicts exactly the true genres."""

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
    MUTED,
    ORANGE,
    drawable,
    name_rows,
    new_figure,
    picture_files,
    write_picture,
)
from tasks.core.files import hash_file
from tasks.core.metrics import CHOICES, Floats, Interval, Resampled, interval, movie_metrics, resample
from tasks.core.page import escape_markdown, markdown_table, write_safe_csv
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, Decisions, read_decisions
from tasks.core.settings import DataPaths
from tasks.report.leaderboard import NOTHING, defined, title_of
from tasks.stage import Stage, StageResult, run_stage

logger = logging.getLogger(__name__)

WIDTH_IN: Final = 7.2
LONGEST_NAME: Final = 30
SHOWN_MOVIES: Final = 10
GENRES_FILE, MOVIES_FILE, TEXT_FILE = "versus.csv", "versus_movies.csv", "versus.md"
PICTURE: Final = "versus"
TABLES: Final = (GENRES_FILE, MOVIES_FILE, TEXT_FILE)
PICTURES: Final = picture_files([PICTURE], ALL_FORMS)
TRAINING_SIDECAR: Final = "train.stage.json"
_BY_DIFFERENCE: Final[dict[str, Any]] = {"by": ["f1_difference", "genre"], "descending": [True, False]}


def draw_versus(genres: pl.DataFrame) -> Figure:
    """Draw each genre's difference in F1 with its 95% interval, the greatest first; undefined ones come last."""
    ordered = genres.sort(**_BY_DIFFERENCE, nulls_last=True)
    figure = new_figure(WIDTH_IN, 1.3 + 0.27 * ordered.height)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ends = ordered.select(pl.col(f"f1_{end}").cast(pl.Float64) for end in ("difference", "low", "high")).to_numpy()
    for row, (value, low, high) in enumerate(ends):
        if np.isnan(value):
            axes.annotate("undefined", (0, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
            continue
        colour = BLUE if low > 0 else ORANGE if high < 0 else MUTED
        axes.plot([low, high], [row, row], color=colour, linewidth=2, zorder=2)
        axes.plot(value, row, "o", color=colour, markersize=6, zorder=3)
    name_rows(axes, [f"{genre} ({count:,})" for genre, count in ordered.select("genre", "support").iter_rows()])
    axes.margins(x=0.06)
    first, second = (drawable(str(genres[name][0]), LONGEST_NAME) for name in ("first", "second"))
    axes.set_xlabel(f"F1 of {first} minus F1 of {second}; (n): test movies")
    texts = {BLUE: f"{first} significantly better", ORANGE: f"{second} significantly better", MUTED: "not significant"}
    marks = [Line2D([], [], color=colour, marker="o", label=text) for colour, text in texts.items()]
    figure.legend(handles=marks, loc="outside upper left", ncols=3, fontsize=9)
    return figure


def render_versus(
    models: Sequence[str],
    overall: Mapping[str, tuple[float, float, Interval]],
    genres: pl.DataFrame,
    movies: pl.DataFrame,
) -> str:
    """Return how two models differ, as Markdown.

    `overall` has for each metric in `CHOICES` both values and the interval of the first minus the second.
    """
    first, second = (escape_markdown(name) for name in models)
    rows = [
        [title_of(metric), f"{one:.4f}", f"{other:.4f}", _with_ends(gap.value, gap.low, gap.high)]
        for metric, (one, other, gap) in overall.items()
    ]
    parts = [
        f"# {first} and {second}\n",
        f"{_say_genres(first, second, genres)} In brackets: 95% intervals of the difference, by a paired bootstrap.\n",
        markdown_table(["on test", first, second, "difference"], rows),
        "## Genres\n",
        _genre_table(first, second, genres),
        *(_movie_part(right, wrong, movies) for right, wrong in (tuple(models), tuple(models)[::-1])),
    ]
    return "\n".join(parts)


def _say_genres(first: str, second: str, genres: pl.DataFrame) -> str:
    n_known, n_undecided, parts = genres["f1_difference"].count(), genres["f1_difference"].count(), []
    for name, is_better in ((first, pl.col("f1_low") > 0), (second, pl.col("f1_high") < 0)):
        better = genres.filter(is_better)["genre"].to_list()
        n_undecided -= len(better)
        listed = f" ({', '.join(map(escape_markdown, better))})" if better else ""
        parts.append(f"{name} has a significantly higher F1 in {len(better)} of {n_known} genres{listed}")
    undefined = genres.filter(pl.col("f1_difference").is_null())["genre"].to_list()
    missing = f" Not compared, without a test movie: {', '.join(map(escape_markdown, undefined))}." if undefined else ""
    return (
        f"{'; '.join(parts)}; in {n_undecided} the interval includes zero. About one in twenty such intervals excludes "
        f"zero by chance.{missing}"
    )


def _genre_table(first: str, second: str, genres: pl.DataFrame) -> str:
    header = ["genre", "test movies", f"F1 {first}", f"F1 {second}", "F1 difference", "precision difference"]
    header += ["recall difference", f"only {first} right", f"only {second} right"]
    rows = [
        [
            escape_markdown(row["genre"]),
            f"{row['support']:,}",
            *(_written(row[name], ".3f") for name in ("first_f1", "second_f1")),
            _with_ends(row["f1_difference"], row["f1_low"], row["f1_high"]),
            *(_written(row[name], "+.3f") for name in ("precision_difference", "recall_difference")),
            f"{row['only_first_right']:,}",
            f"{row['only_second_right']:,}",
        ]
        for row in genres.sort(**_BY_DIFFERENCE, nulls_last=True).iter_rows(named=True)
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
    more = "" if shown.height == listed.height else f"\nAll of them are in `{MOVIES_FILE}`.\n"
    header = ["movie", "id", "genres", f"predicted by {escape_markdown(wrong)}"]
    return f"{title}\n{markdown_table(header, rows, len(header))}{more}"


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return NOTHING
    return f"{value:+.3f} \\[{low:+.3f}, {high:+.3f}\\]"


def _written(value: float | None, form: str) -> str:
    return NOTHING if value is None else f"{value:{form}}"


def write_versus(
    ranked: Sequence[Path], pair: Sequence[str], paths: DataPaths, *, draws: bool = True
) -> StageResult | None:
    """Write `versus.csv` (genres), `versus_movies.csv` and `versus.md`; None if there is only one model.

    Without a `pair`, the best of the `ranked` models is compared with the best of another kind. `draws`: also a
    picture.

    Raises:
        ConfigError: a named model is not among them.
        DataError: a model's files are missing or damaged, or they were not tested on the same movies.
    """
    if len(ranked) < 2 and not pair:
        logger.info("only one model: nothing to compare it with")
        for name in (*TABLES, *PICTURES):
            (paths.results / name).unlink(missing_ok=True)  # an earlier run's
        return None
    first, second = choose_pair(ranked, pair)
    left = [folder / name for folder in (first, second) for name in (PREDICTIONS_FILE, RULES_FILE)]
    # Inputs are known by file name, which is the same in both folders: so their contents go into the config.
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
        overall = {name: _difference(resampled.metrics[name]) for name in CHOICES}
        text = render_versus(decisions.models, overall, genres, movies)
        (folder / TEXT_FILE).write_text(text, encoding="utf-8")
        if draws:
            write_picture(folder, PICTURE, partial(draw_versus, genres), ALL_FORMS)
        by_model = movies["right"].value_counts().rows()
        return {"pair": list(decisions.models), "only_one_right": dict(sorted(by_model))}

    return run_stage(stage, build)


def check_pair(pair: Sequence[str], names: Sequence[str]) -> None:
    """Raise a ConfigError if a model of the pair is not among the compared ones."""
    if missing := [name for name in pair if name not in names]:
        raise ConfigError(f"--pair: {', '.join(missing)} is not among the models compared: {', '.join(names)}")


def choose_pair(ranked: Sequence[Path], pair: Sequence[str]) -> tuple[Path, Path]:
    """Return the folders of the named models; if none, of the first and of the next of another kind.

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
    """Return one row per genre, in genre order: the metrics of both models and their difference with its interval.

    Columns: `genre`, `support`, `first` and `second` (the models); for `f1`, `precision` and `recall` each
    `first_<metric>`, `second_<metric>`, `<metric>_difference`, `<metric>_low`, `<metric>_high`, null for a genre
    without a positive; `only_first_right`, `only_second_right`: the number of movies for which only one is right about
    the genre.
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
        found = [_difference(values[:, :, genre]) for genre in range(len(decisions.genres))]
        columns[f"first_{metric}"] = [defined(first_value) for first_value, _, _ in found]
        columns[f"second_{metric}"] = [defined(second_value) for _, second_value, _ in found]
        for end, name in (("value", "difference"), ("low", "low"), ("high", "high")):
            columns[f"{metric}_{name}"] = [defined(getattr(difference, end)) for _, _, difference in found]
    columns["only_first_right"] = ((first == truth) & (second != truth)).sum(axis=0)
    columns["only_second_right"] = ((second == truth) & (first != truth)).sum(axis=0)
    return pl.DataFrame(columns)


def list_movies(decisions: Decisions, movies_files: Sequence[Path]) -> pl.DataFrame:
    """Return the movies that only one model gets exactly right, those of the first before those of the second.

    Columns: `right`, `wrong` (the models), `movie_id`, `movie_name`, `true_genres`, `wrong_genres` (predicted by the
    other), `wrong_jaccard`. For each model, the movies where the other is most wrong come first.
    """
    truth = decisions.truth
    right = [(labels == truth).all(axis=1) for labels in decisions.decided]
    parts = []
    for model, other in ((0, 1), (1, 0)):
        rows = np.flatnonzero(right[model] & ~right[other])
        decided = decisions.decided[other][rows]
        part = {
            "right": pl.repeat(decisions.models[model], len(rows), dtype=pl.String, eager=True),
            "wrong": pl.repeat(decisions.models[other], len(rows), dtype=pl.String, eager=True),
            "movie_id": pl.Series([decisions.movie_ids[row] for row in rows], dtype=pl.String),
            "true_genres": _names(decisions.genres, truth[rows]),
            "wrong_genres": _names(decisions.genres, decided),
            "wrong_jaccard": pl.Series(movie_metrics(truth[rows], decided)[:, 0], dtype=pl.Float64).fill_nan(None),
        }
        parts.append(pl.DataFrame(part).sort("wrong_jaccard", "movie_id"))
    return (
        pl.concat(parts)
        .join(_movie_names(movies_files), on="movie_id", how="left", maintain_order="left")
        .select("right", "wrong", "movie_id", "movie_name", "true_genres", "wrong_genres", "wrong_jaccard")
    )


def _movie_names(movies_files: Sequence[Path]) -> pl.DataFrame:
    tables = [pl.read_parquet(path, columns=["movie_id", "movie_name"]) for path in movies_files]
    return pl.concat([pl.DataFrame(schema={"movie_id": pl.String, "movie_name": pl.String}), *tables])


def _difference(values: Floats) -> tuple[float, float, Interval]:
    """Return a metric of both models and the interval of their difference."""
    return float(values[0, 0]), float(values[1, 0]), interval(values[0] - values[1])


def _names(genres: Sequence[str], labels: NDArray[np.bool_]) -> pl.Series:
    texts = [", ".join(genre for genre, has in zip(genres, row, strict=True) if has) for row in labels]
    return pl.Series(texts, dtype=pl.String)


def _kind(folder: Path) -> str:
    """Return a model's kind of classifier, from its training's sidecar; its name if that is unknown."""
    try:
        config = json.loads((folder / TRAINING_SIDECAR).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name
    if "ensemble" in config:
        return "ensemble"
    model = config.get("model", {})
    return str(model.get("classifier", {}).get("kind") or model.get("encoder") or folder.name)
