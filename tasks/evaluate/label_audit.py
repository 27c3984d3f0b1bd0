"""The label audit: the movies with the most doubtful genres, and the effect of dropping them from train.

A doubtful genre is not an error: genres are matters of opinion, and descriptions leave out what a film shows. The
effect is measured on test movies with unaudited labels: if they are wrong in the same way as what was dropped, a better
model can look worse.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from tasks.core.errors import DataError, how_to_install, is_installed
from tasks.core.files import hash_file
from tasks.core.metrics import METRICS, Floats, Labels, interval, resample
from tasks.core.page import write_safe_csv
from tasks.core.predictions import PREDICTIONS_FILE, read_decisions
from tasks.core.settings import DataPaths
from tasks.decision.calibration import Calibration
from tasks.evaluate.evaluation import OUT_OF_FOLD, read_scored_split, scores_path
from tasks.stage import Stage, StageResult, remove_outdated, run_stage

logger = logging.getLogger(__name__)

AUDIT_CSV: Final = "label_audit.csv"
AUDIT_FILE: Final = "label_audit.parquet"
AUDIT: Final = pl.Schema(
    {
        "movie_id": pl.String,
        "movie_name": pl.String,
        "given_genres": pl.String,
        "doubted": pl.String,  # "lacks Horror; is not Drama", the most doubtful first
        "quality": pl.Float64,  # 0 to 1; the lowest first
        "reason": pl.String,
        "scores_from": pl.String,
    }
)
DROP_FILES: Final = {"doubted": "drop_doubted.csv", "random": "drop_random.csv"}
EFFECT_FILE: Final = "label_audit_effect.csv"
EFFECT: Final = pl.Schema(
    {
        "model": pl.String,
        "dropped": pl.String,  # "doubted" or "random" train movies
        "dropped_movies": pl.Int64,
        "train_movies": pl.Int64,  # before
        "metric": pl.String,
        "with_all": pl.Float64,
        "without": pl.Float64,
        "difference": pl.Float64,
        "low": pl.Float64,  # of the 95% interval of the difference
        "high": pl.Float64,
        "finding": pl.String,
    }
)
KINDS: Final = {"doubted": "most doubtful", "random": "randomly chosen"}


class LabelIssue(NamedTuple):
    """A doubtful genre of a movie: whether the listing has it, and its probability by model."""

    genre: str
    is_given: bool
    probabilities: Mapping[str, float]


def explain_issues(issues: Sequence[LabelIssue]) -> str:
    """Return why genres of a movie are doubtful: how many models agree, and the least certain probability.

    >>> horror, war = {"a": 0.93, "b": 0.8, "c": 0.2}, {"a": 0.7, "b": 0.6, "c": 0.0}
    >>> explain_issues([LabelIssue("Horror", False, horror), LabelIssue("War", False, war)])
    '2 of 3 models give Horror at least 0.80 and War at least 0.60, which the listing lacks'
    >>> explain_issues([LabelIssue("Drama", True, {"a": 0.02})])
    'a gives Drama 0.02, which the listing has'
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for issue in issues:
        agreeing = [value for value in issue.probabilities.values() if (value <= 0.5) == issue.is_given]
        n_agreeing, n_asked = len(agreeing), len(issue.probabilities)
        count = f"all {n_asked}" if n_agreeing == n_asked else f"{n_agreeing} of {n_asked}"
        who = f"{count} models {'gives' if n_agreeing == 1 else 'give'}"
        if n_asked == 1:
            who = f"{next(iter(issue.probabilities))} gives"
        limit, bound = ("at most ", max(agreeing)) if issue.is_given else ("at least ", min(agreeing))
        claim = f"{issue.genre} {limit if n_agreeing > 1 else ''}{bound:.2f}"
        groups.setdefault((who, issue.is_given), []).append(claim)
    reasons = []
    for (who, is_given), (*others, last) in groups.items():
        listed = f"{', '.join(others)} and {last}" if others else last
        reasons.append(f"{who} {listed}, which the listing {'has' if is_given else 'lacks'}")
    return "; ".join(reasons)


def find_label_issues(truth: Labels, probabilities: Floats) -> tuple[Labels, Floats]:
    """Return which labels are likely errors, (n_movies, n_genres), and the label quality of each movie, 0 to 1.

    Confident learning estimates for each genre how many labels are wrong; those with the lowest probability are
    doubtful. A movie's quality weighs the probabilities of its labels (having a genre or not), the lowest by far the
    most. A genre that every or no movie has is never doubtful. The model must not be trained on these movies.

    Source:
        Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels;
        Thyagarajan et al. 2023, Identifying Incorrect Annotations in Multi-Label Classification Data.
    """
    # Imported here: cleanlab takes more than a second and is optional.
    from cleanlab.multilabel_classification import get_label_quality_scores  # noqa: PLC0415
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class  # noqa: PLC0415

    doubted = np.zeros_like(truth)
    varying = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    if not len(varying):
        return doubted, np.ones(len(truth))
    labels = [np.flatnonzero(row).tolist() for row in truth[:, varying]]
    shown = np.clip(probabilities[:, varying], 1e-9, 1 - 1e-9)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        doubted[:, varying] = find_multilabel_issues_per_class(labels, shown, n_jobs=1)
    if warned:
        logger.info("genres with too few movies, with or without them, to find all label errors: %d", len(warned))
    if len(varying) == 1:  # cleanlab does not accept a single genre
        return doubted, np.where(truth[:, varying], shown, 1 - shown)[:, 0]
    return doubted, np.asarray(get_label_quality_scores(labels, shown), dtype=np.float64)


class HeldOut(NamedTuple):
    """Calibrated probabilities by one model for movies that it was not trained on, sorted by id, with the truth."""

    model: str
    movie_ids: tuple[str, ...]
    genres: tuple[str, ...]
    truth: Labels  # (n_movies, n_genres)
    probabilities: Floats  # of the same shape
    parts: tuple[str, ...]  # of the split, or "out of fold"


def _held_out_files(folder: Path, paths: DataPaths, *, out_of_fold: bool) -> dict[str, Path]:
    """Return the files with a model's scores of movies that it was not trained on, by part.

    They are of validation and test, unless `out_of_fold` scores are wanted and are of exactly the current movies.
    """
    path = scores_path(paths.cross_validation / folder.name, OUT_OF_FOLD)
    if out_of_fold and path.is_file():
        scored, current = (pl.read_parquet(each, columns=["movie_id"])["movie_id"] for each in (path, paths.splits))
        if scored.sort().equals(current.sort()):
            return {OUT_OF_FOLD: path}
        logger.warning("%s is skipped, as its movies differ from %s; cross-validate again", path, paths.splits)
    return {part: scores_path(folder, part) for part in ("validation", "test")}


def _read_held_out(model: str, files: Mapping[str, Path], paths: DataPaths) -> HeldOut:
    parts = {name: read_scored_split(path.parent, name, paths) for name, path in files.items()}
    ids = [movie for part in parts.values() for movie in part.scores.movie_ids]
    names = [name.replace("_", " ") for name, part in parts.items() for _ in part.scores.movie_ids]
    order = np.argsort(np.array(ids))  # the result does not depend on the order of rows
    scores = np.concatenate([part.scores.scores for part in parts.values()])[order]
    truth = np.concatenate([part.truth for part in parts.values()])[order]
    return HeldOut(
        model=model,
        movie_ids=tuple(ids[row] for row in order),
        genres=next(iter(parts.values())).scores.genres,
        truth=truth,
        probabilities=Calibration.fit(scores, truth).apply(scores),
        parts=tuple(names[row] for row in order),
    )


def audit_labels(model_folders: Sequence[Path], paths: DataPaths) -> StageResult:
    """Write the movies with genres that the first model doubts, those with the lowest label quality first.

    Both files hold `AUDIT`: `label_audit.csv` for people, with formulas neutralised, `label_audit.parquet` for
    programs. The scores are calibrated on the same movies by two numbers per genre. The other models give a second
    opinion, unless their scores are of other movies or genres. Without cleanlab there is no audit, and an outdated one
    is removed.
    """
    if not model_folders:
        raise DataError("label audit: no model is given; train one first")
    first = _held_out_files(model_folders[0], paths, out_of_fold=True)
    others = (_held_out_files(folder, paths, out_of_fold=OUT_OF_FOLD in first) for folder in model_folders[1:])
    sources = [first, *others]
    stage = Stage(
        name="label_audit",
        folder=paths.results,
        outputs=(AUDIT_CSV, AUDIT_FILE),
        inputs=(paths.movies, paths.splits, *(path for files in sources for path in files.values())),
        config={"models": [folder.name for folder in model_folders]},
        code=(Path(__file__),),
        packages=("cleanlab", "numpy", "polars"),
    )

    if not is_installed("audit"):
        logger.warning("label audit: skipped, as cleanlab is not installed; %s", how_to_install(["audit"]))
        return remove_outdated(stage)

    def build(folder: Path) -> Mapping[str, Any]:
        named = zip(model_folders, sources, strict=True)
        first, *others = (_read_held_out(model.name, files, paths) for model, files in named)
        asked = [first]
        for other in others:
            if (other.movie_ids, other.genres) == (first.movie_ids, first.genres):
                asked.append(other)
            else:
                reason = "because its held-out scores are of other movies or genres"
                logger.info("label audit: %s is left out, %s", other.model, reason)
        doubted, quality = find_label_issues(first.truth, first.probabilities)
        table = _audit_table(asked, doubted, quality, paths)
        write_safe_csv(table, folder / AUDIT_CSV)
        table.write_parquet(folder / AUDIT_FILE, compression="zstd")
        return {
            "movies": len(quality),
            "doubted_movies": table.height,
            "doubts": int(doubted.sum()),
            "asked": [model.model for model in asked],
        }

    return run_stage(stage, build)


def _audit_table(asked: Sequence[HeldOut], doubted: Labels, quality: Floats, paths: DataPaths) -> pl.DataFrame:
    first = asked[0]
    names = dict(pl.read_parquet(paths.movies, columns=["movie_id", "movie_name"]).iter_rows())
    rows = []
    for row in np.flatnonzero(doubted.any(axis=1)).tolist():
        of_label = np.where(first.truth[row], first.probabilities[row], 1 - first.probabilities[row])
        columns = np.flatnonzero(doubted[row])
        columns = columns[np.argsort(of_label[columns], kind="stable")]  # the most doubtful first
        issues = []
        for column in columns.tolist():
            probabilities = {model.model: float(model.probabilities[row, column]) for model in asked}
            issues.append(LabelIssue(first.genres[column], bool(first.truth[row, column]), probabilities))
        given = ", ".join(np.array(first.genres)[first.truth[row]])
        claims = "; ".join(f"{'is not' if issue.is_given else 'lacks'} {issue.genre}" for issue in issues)
        movie = first.movie_ids[row]
        source = f"{first.model}, {first.parts[row]}"
        rows.append((movie, names[movie], given, claims, float(quality[row]), explain_issues(issues), source))
    return pl.DataFrame(rows, schema=AUDIT, orient="row").sort("quality", "movie_id")


def read_audit(paths: DataPaths) -> pl.DataFrame:
    """Return the last audit of a data folder, `AUDIT`."""
    return pl.read_parquet(paths.results / AUDIT_FILE)


def choose_dropped(train: DataPaths, share: float | None, seed: int) -> StageResult:
    """Write which movies of an audited folder of train movies to drop: the most doubtful, and as many random ones.

    They are all doubtful movies, but at most `share` of all; a `DataError` if those are none or all movies.
    """
    stage = Stage(
        name="choose_dropped",
        folder=train.results,
        outputs=tuple(DROP_FILES.values()),
        inputs=(train.splits, train.results / AUDIT_FILE),
        config={"share": share, "seed": seed},
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        ids = pl.read_parquet(train.splits, columns=["movie_id"])["movie_id"].sort()
        doubted = read_audit(train)["movie_id"]
        if share is not None:
            doubted = doubted.head(round(share * len(ids)))
        if not 0 < len(doubted) < len(ids):
            raise DataError(f"{train.root}: {len(doubted)} of {len(ids)} train movies would be dropped; change --share")
        drawn = np.random.default_rng(seed).choice(len(ids), len(doubted), replace=False)
        for name, chosen in (("doubted", doubted), ("random", ids[np.sort(drawn).tolist()])):
            pl.DataFrame({"movie_id": chosen}).write_csv(folder / DROP_FILES[name])
        return {"train_movies": len(ids), "dropped_movies": len(doubted)}

    return run_stage(stage, build)


def measure_effect(with_all: Path, without: Mapping[str, Path], train: DataPaths, home: DataPaths) -> StageResult:
    """Write how test metrics change without the dropped movies, `EFFECT`; the counts hold the findings as sentences.

    `without` has the folders of the models by what was dropped (keys of `DROP_FILES`), `train` is the folder of
    `choose_dropped`. The counts also hold the hash of the splits of `home`, the audited folder, to identify it.
    """
    splits = hash_file(home.splits)
    predictions = {name: hash_file(folder / PREDICTIONS_FILE) for name, folder in {"all": with_all, **without}.items()}
    stage = Stage(
        name="label_audit_effect",
        folder=home.results,
        outputs=(EFFECT_FILE,),
        inputs=(train.splits, *(train.results / DROP_FILES[name] for name in without)),
        config={"model": with_all.name, "predictions": predictions, "splits": splits},
        code=(Path(__file__),),
        packages=("numpy", "polars"),
    )

    def build(folder: Path) -> Mapping[str, Any]:
        n_train = pl.scan_parquet(train.splits).select(pl.len()).collect().item()
        decisions = read_decisions([with_all, *without.values()])
        metrics = resample(decisions.truth, decisions.decided).metrics
        rows = []
        for place, name in enumerate(without, start=1):
            n_dropped = pl.read_csv(train.results / DROP_FILES[name], infer_schema=False).height
            what = f"Without the {n_dropped:,} {KINDS[name]} of {n_train:,} train movies"
            for metric in ("jaccard", "f1_macro"):
                before, after = metrics[metric][[0, place]]
                change = interval(after - before)
                figures = (float(before[0]), float(after[0]), change.value, change.low, change.high)
                finding = f"{what} the {METRICS[metric].title} on test is {_verdict(*figures)}."
                rows.append((with_all.name, name, n_dropped, n_train, metric, *figures, finding))
        table = pl.DataFrame(rows, schema=EFFECT, orient="row")
        table.write_csv(folder / EFFECT_FILE, float_precision=6)
        return {"findings": table["finding"].to_list(), "splits": splits}

    return run_stage(stage, build)


def _verdict(before: float, after: float, difference: float, low: float, high: float) -> str:
    """Return a metric's change, the 95% interval of the difference, and whether it is significant.

    >>> _verdict(0.5, 0.49, -0.01, -0.015, -0.005)
    'significantly worse: 0.5000 to 0.4900 (-0.0100, 95% interval -0.0150 to -0.0050)'
    """
    significance = "not significantly different"
    if not low <= 0 <= high:
        significance = f"significantly {'better' if low > 0 else 'worse'}"
    return f"{significance}: {before:.4f} to {after:.4f} ({difference:+.4f}, 95% interval {low:+.4f} to {high:+.4f})"
