"""Comparisons of two models: by genre and movie, and of a challenger with the champion that it may replace."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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
from tasks.core.metrics import (
    CHOICES,
    LOWER_IS_BETTER,
    Champion,
    Interval,
    PromotionConfig,
    Resampled,
    Verdict,
    interval,
    movie_metrics,
    resample,
)
from tasks.core.page import escape_markdown, markdown_table, write_safe_csv
from tasks.core.predictions import PREDICTIONS_FILE, RULES_FILE, Decisions, IncomparableError, read_decisions
from tasks.core.settings import DataPaths
from tasks.report.leaderboard import NOTHING, defined, title_of, written
from tasks.report.sources import SENTENCES, say
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
_PAIR: Final = ("first", "second")
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
    models: tuple[str, str],
    overall: Mapping[str, tuple[float, float, Interval]],
    genres: pl.DataFrame,
    movies: pl.DataFrame,
) -> str:
    """Return as Markdown how two models differ; `overall`: by metric both values, and the interval of their gap."""
    first, second = names = [escape_markdown(name) for name in models]
    metrics = [
        [title_of(metric), f"{one:.4f}", f"{other:.4f}", _with_ends(gap.value, gap.low, gap.high)]
        for metric, (one, other, gap) in overall.items()
    ]
    differences = ("precision_difference", "recall_difference")
    rows = [
        [
            escape_markdown(row["genre"]),
            f"{row['support']:,}",
            *(written(row[name], 3) for name in ("first_f1", "second_f1")),
            _with_ends(row["f1_difference"], row["f1_low"], row["f1_high"]),
            *(NOTHING if each is None else f"{each:+.3f}" for each in (row[name] for name in differences)),
            *(f"{row[name]:,}" for name in ("only_first_right", "only_second_right")),
        ]
        for row in genres.sort(**_BY_DIFFERENCE, nulls_last=True).iter_rows(named=True)
    ]
    header = ["genre", "test movies", f"F1 {first}", f"F1 {second}", "F1 difference", "precision difference"]
    header += ["recall difference", f"only {first} right", f"only {second} right"]
    examples = []
    for right, wrong in zip(models, reversed(names), strict=True):
        listed = movies.filter(pl.col("right") == right)
        shown = listed.select("movie_name", "movie_id", "true_genres", "wrong_genres").head(SHOWN_MOVIES)
        cells = [[escape_markdown(text or "") for text in row] for row in shown.iter_rows()]
        table = markdown_table(["movie", "id", "genres", f"predicted by {wrong}"], cells, 4)
        examples.append((listed.height, table, listed.height > shown.height))
    by_result = (pl.col("f1_low") > 0, pl.col("f1_high") < 0, pl.col("f1_difference").is_null())
    better, worse, undefined = ([*map(escape_markdown, genres.filter(such)["genre"])] for such in by_result)
    return say(
        "versus",
        names=names,
        better=(better, worse),
        known=genres["f1_difference"].count(),
        undefined=undefined,
        overall=markdown_table(["on test", first, second, "difference"], metrics),
        genres=markdown_table(header, rows),
        movies=examples,
    )


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return NOTHING
    return f"{value:+.3f} \\[{low:+.3f}, {high:+.3f}\\]"


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
    code, packages = (Path(__file__), SENTENCES), ("jinja2", "matplotlib", "numpy", "polars")
    stage = Stage("versus", paths.results, outputs, inputs, {"pair": config}, code, packages, removes_old=True)

    def build(folder: Path) -> Mapping[str, Any]:
        decisions = read_decisions([first, second])
        resampled = resample(decisions.truth, decisions.decided)
        names = pl.DataFrame(schema={"movie_id": pl.String, "movie_name": pl.String})
        names = pl.read_parquet(paths.movies, columns=names.columns) if inputs else names
        genres, movies = compare_genres(decisions, resampled), list_movies(decisions, names)
        write_safe_csv(genres, folder / GENRES_FILE)
        write_safe_csv(movies, folder / MOVIES_FILE)
        overall = {}
        for metric in CHOICES:
            one, other = resampled.metrics[metric]
            overall[metric] = (float(one[0]), float(other[0]), interval(one - other))
        text = render_versus((decisions.models[0], decisions.models[1]), overall, genres, movies)
        (folder / TEXT_FILE).write_text(text + "\n", encoding="utf-8")
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
    """Return the folders of the named models; if none, of the first and of the next of another kind."""
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
    names = {name: [model] * len(decisions.genres) for name, model in zip(_PAIR, decisions.models, strict=True)}
    columns: dict[str, Any] = {"genre": decisions.genres, "support": truth.sum(axis=0), **names}
    for metric in ("f1", "precision", "recall"):
        values = resampled.per_genre[metric]
        for number, name in enumerate(_PAIR):
            columns[f"{name}_{metric}"] = [defined(value) for value in values[number, 0]]
        gaps = [interval(gap) for gap in np.moveaxis(values[0] - values[1], -1, 0)]
        for end, name in (("value", "difference"), ("low", "low"), ("high", "high")):
            columns[f"{metric}_{name}"] = [defined(getattr(gap, end)) for gap in gaps]
    columns["only_first_right"] = ((first == truth) & (second != truth)).sum(axis=0)
    columns["only_second_right"] = ((second == truth) & (first != truth)).sum(axis=0)
    return pl.DataFrame(columns)


def list_movies(decisions: Decisions, names: pl.DataFrame) -> pl.DataFrame:
    """Return the movies that only one model gets exactly right, those of the first before those of the second.

    `names` has `movie_id` and `movie_name`, perhaps no rows. Columns: `right`, `wrong` (the models), `movie_id`,
    `movie_name`, `true_genres`, `wrong_genres` and `wrong_jaccard` (of the other), which sorts a model's movies.
    """
    truth = decisions.truth
    right = [(labels == truth).all(axis=1) for labels in decisions.decided]
    schema = {**dict.fromkeys(("movie_id", "true_genres", "wrong_genres"), pl.String), "wrong_jaccard": pl.Float64}
    parts = []
    for model, other in ((0, 1), (1, 0)):
        rows = np.flatnonzero(right[model] & ~right[other])
        decided = decisions.decided[other][rows]
        genres = ([", ".join(compress(decisions.genres, row)) for row in labels] for labels in (truth[rows], decided))
        jaccard = pl.Series(movie_metrics(truth[rows], decided)[:, 0], dtype=pl.Float64).fill_nan(None)
        part = pl.DataFrame([[decisions.movie_ids[row] for row in rows], *genres, jaccard], schema)
        models = (pl.lit(decisions.models[each]).alias(name) for each, name in ((model, "right"), (other, "wrong")))
        parts.append(part.with_columns(models).sort("wrong_jaccard", "movie_id"))
    return (
        pl.concat(parts)
        .join(names, on="movie_id", how="left", maintain_order="left")
        .select("right", "wrong", "movie_id", "movie_name", "true_genres", "wrong_genres", "wrong_jaccard")
    )


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


def judge_challenger(challenger: Path, champion: Champion | None, config: PromotionConfig) -> Verdict:
    """Return whether the model that is best on validation becomes champion, and the reason in words.

    It replaces the champion if the interval of the difference, by a paired bootstrap over the champion's own test
    movies, is above zero, or if this version cannot load the champion.
    """
    if champion is not None and champion.is_challenger:
        return Verdict(False, "it is still the best")
    decisions = read_decisions([challenger])
    f1_macro = float(resample(decisions.truth, decisions.decided, resamples=0).metrics["f1_macro"][0, 0])
    if not f1_macro >= config.min_f1_macro:
        low = f"a macro F1 of {f1_macro:.4f} on test, below the floor of {config.min_f1_macro:g}"
        return Verdict(False, f"{challenger.name} has {low} (--promotion.min-f1-macro)")
    if champion is None:
        return Verdict(True, "there was no champion")
    if champion.challenger_was_rolled_back:
        when = f"{challenger.name} was champion and was rolled back on {champion.challenger_was_rolled_back}"
        return Verdict(False, f"{when}; to allow it again, delete the tag genreflow.rolled_back_at of that version")
    if champion.folder is None:
        gone = f"the run or the predictions of {champion.model} are gone from MLflow"
        return Verdict(True, f"{gone}, so they cannot be compared")
    return _judge_both(challenger, champion, champion.folder, config)


def say_luck(n_judged: int, level: float) -> str:
    """Say how likely it is that one of the challengers that a test set has judged wins by luck.

    >>> say_luck(1, 0.95), say_luck(20, 0.95)
    ('', '; of 20 challengers on these movies, at least one that is no better wins with a probability of up to 40%')
    """
    by_luck = 1 - (1 - (1 - level) / 2) ** n_judged  # each by one side of its interval; less, as they share the movies
    about = (
        f"; of {n_judged} challengers on these movies, at least one that is no better wins with a probability of up to"
    )
    return f"{about} {by_luck:.0%}" if n_judged > 1 else ""


def _judge_both(challenger: Path, champion: Champion, folder: Path, config: PromotionConfig) -> Verdict:
    theirs, is_same = champion.model, champion.model == challenger.name
    theirs = f"the champion, {theirs} (version {champion.version})" if is_same else theirs
    try:
        decisions = read_decisions([challenger, folder])
    except IncomparableError as error:
        difference = str(error).rpartition("\n  ")[2]
        reason = f"{theirs} was tested on other data ({difference})"
        if config.replace_other_data == "always":
            return Verdict(True, f"{reason} and is replaced (--promotion.replace-other-data always)")
        # A champion of the sample is provisional, any other was chosen by someone.
        if config.replace_other_data == "sample" and champion.source == "sample":
            return Verdict(True, f"{reason}, the embedded sample, and is replaced")
        how = "so they cannot be compared; to replace it: --promotion.replace-other-data always"
        return Verdict(False, f"{reason}, {how}")
    first, second = resample(decisions.truth, decisions.decided).metrics[config.metric]
    n_judged = champion.challengers_before + 1
    level = 1 - (1 - config.level) / n_judged if config.correction == "bonferroni" else config.level
    found = interval(second - first if config.metric in LOWER_IS_BETTER else first - second, level)
    bounds = f"[{found.low:+.4f}, {found.high:+.4f}] at {100 * level:.4g}%"
    difference = f"{config.metric} {found.value:+.4f} {bounds}"
    measured = f"{difference}, on {len(decisions.movie_ids):,} test movies{say_luck(n_judged, level)}"
    if np.isfinite(found.low) and found.low > 0:
        return Verdict(True, f"{challenger.name} is better than {theirs}: {measured}", difference)
    is_worse = np.isfinite(found.high) and found.high < 0
    if not champion.is_readable and not is_worse:
        reason = f"{theirs} was logged by an earlier version, which only MLflow can load, and is replaced"
        return Verdict(True, f"{reason}: {measured}", difference)
    how = "significantly worse" if is_worse else "not significantly better"
    return Verdict(False, f"{challenger.name} is {how} than {theirs}: {measured}", difference)
