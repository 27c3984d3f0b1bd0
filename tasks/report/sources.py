"""The data of the report, and how it becomes sentences: numbers, lists, and the texts of `sentences.jinja`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.metrics import METRICS
from tasks.core.page import fill
from tasks.core.predictions import Scores, read_scores, truth_matrix
from tasks.core.schema import PREDICTIONS
from tasks.core.settings import DataPaths
from tasks.report.leaderboard import Baseline, best_constant, read_json

LEADERBOARD_FILE: Final = "leaderboard.csv"
LABEL_AUDIT_FILE: Final = "label_audit.parquet"  # not the CSV, whose cells are changed for spreadsheets
LABEL_AUDIT_EFFECT_FILE: Final = "label_audit_effect.csv"
_MODEL_FILES: Final = ("metrics.json", "per_genre.csv", "predictions_test.parquet", "scores_test.parquet")
_OPTIONAL_MODEL_FILES: Final = ("fit.json", "history.csv", "calibration.csv", "reliability.csv", "train.stage.json",
                                "explanations.parquet", "importance.parquet")  # fmt: skip
_GENRE_METRICS: Final = ("precision", "recall", "f1", "jaccard", "average_precision", "threshold")


@dataclass(frozen=True)
class PreviousRun:
    """The pipeline run before this one, if it was compared."""

    name: str
    model: str  # the best
    jaccard: float  # of the best, on its test movies
    data_hash: str


@dataclass(frozen=True)
class RunFacts:
    """Facts about a run that only tracking and orchestration have."""

    name: str = ""
    run_id: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    duration_s: float | None = None  # until the report was started
    promotion: str = ""  # a sentence about the champion
    address: str = ""  # of the run's page in MLflow
    previous: PreviousRun | None = None
    task_seconds: Mapping[str, float] = field(default_factory=dict)  # by task, in the order of their start


@dataclass(frozen=True)
class Model:
    """An evaluated model, read from the files of its folder."""

    name: str
    folder: Path

    @cached_property
    def predictions(self) -> pl.DataFrame:
        """`schema.PREDICTIONS` of the test movies."""
        return read_table(self.folder / "predictions_test.parquet").select(*PREDICTIONS)

    @cached_property
    def scores(self) -> Scores:
        """Of the test movies, in the order of the predictions."""
        return read_scores(self.folder / "scores_test.parquet")

    @cached_property
    def per_genre(self) -> pl.DataFrame:
        """One row a genre; the metrics of one without a test movie are null."""
        floats = dict.fromkeys(_GENRE_METRICS, pl.Float64)
        return read_table(self.folder / "per_genre.csv", "evaluate the model again", schema_overrides=floats)

    @cached_property
    def kind(self) -> str:
        """Its classifier, "fine-tuned encoder" or "ensemble"."""
        spec = read_json(self.folder / "train.stage.json").get("config", {}).get("model", {})
        return str(spec.get("classifier", {}).get("kind", "fine-tuned encoder" if "encoder" in spec else "ensemble"))

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """The genres of the test movies, (n_movies, n_genres)."""
        return truth_matrix(self.predictions["true_genres"].to_list(), self.scores.genres)

    @cached_property
    def decided(self) -> NDArray[np.bool_]:
        """The predicted genres of the test movies, (n_movies, n_genres)."""
        return truth_matrix(self.predictions["predicted_genres"].to_list(), self.scores.genres)

    @cached_property
    def jaccard(self) -> NDArray[np.float64]:
        """Of each test movie; NaN for one without a genre."""
        return self.predictions["jaccard"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    @cached_property
    def explanations(self) -> Mapping[tuple[object, ...], pl.DataFrame]:
        """The contributions of words and fields to scores, by movie and genre; empty if nothing was explained."""
        table = optional_table(self.folder / "explanations.parquet")
        return {} if table is None else table.partition_by("movie_id", "genre", as_dict=True, maintain_order=True)


@dataclass(frozen=True)
class Sources:
    """All data of the page."""

    paths: DataPaths
    leaderboard: pl.DataFrame
    models: tuple[Model, ...]  # in the leaderboard's order

    @property
    def best(self) -> Model:
        """The first of the leaderboard."""
        return self.models[0]

    @cached_property
    def rival(self) -> Model | None:
        """The best model of another kind than the best one."""
        return next((model for model in self.models if model.kind != self.best.kind), None)

    @cached_property
    def movies(self) -> pl.DataFrame:
        """The test movies, in the order of the predictions, with all columns."""
        ids = self.best.predictions.select("movie_id")
        movies = ids.join(read_table(self.paths.movies), on="movie_id", how="left", maintain_order="left")
        if movies["description"].null_count():
            raise DataError(f"{self.paths.movies} lacks test movies of {self.best.folder}; train the models again")
        return movies

    @cached_property
    def baseline(self) -> Baseline | None:
        """The best constant answer; None if no test movie has a genre."""
        return best_constant(self.best.truth, self.best.scores.genres)

    @property
    def audit(self) -> pl.DataFrame | None:
        """The label audit, most doubtful first, if there is one."""
        audit = optional_table(self.paths.results / LABEL_AUDIT_FILE)
        return None if audit is None else audit.sort("quality", maintain_order=True)

    @property
    def sidecars(self) -> tuple[Path, ...]:
        """Those of the stages that made the data: clean, annotate, split."""
        folders = {"clean": self.paths.clean, "annotate": self.paths.conllu.parent, "split": self.paths.splits.parent}
        return tuple(folder / f"{name}.stage.json" for name, folder in folders.items())

    @property
    def split_counts(self) -> dict[str, Any]:
        """What the split counted; empty if that is not known."""
        return dict(read_json(self.sidecars[-1]).get("counts", {}))

    def inputs(self) -> tuple[Path, ...]:
        """Return all existing files that the page may show something of."""
        paths = self.paths
        of_models = [model.folder / name for model in self.models for name in _MODEL_FILES]
        optional = [
            *(model.folder / name for model in self.models for name in _OPTIONAL_MODEL_FILES),
            *(paths.results / name for name in (LABEL_AUDIT_FILE, LABEL_AUDIT_EFFECT_FILE)),
            *(*self.sidecars, paths.dropped, paths.splits, paths.raw / "acquire.stage.json"),
        ]
        return (paths.results / LEADERBOARD_FILE, paths.movies, *of_models, *filter(Path.is_file, optional))


def read_sources(model_folders: Sequence[Path], paths: DataPaths) -> Sources:
    """Open the data of the page; it is a DataError if the leaderboard, which orders the models, is not of these."""
    path, texts = paths.results / LEADERBOARD_FILE, {"model": pl.String, "rule": pl.String}
    leaderboard = read_table(path, "rank the models first", schema_overrides=texts, infer_schema_length=None)
    names = leaderboard["model"].to_list() if "model" in leaderboard.columns else []
    folders = {folder.name: folder for folder in model_folders}
    if set(names) != set(folders) or not names:
        raise DataError(f"{path} ranks other models than {', '.join(sorted(folders))}; rank these models first")
    return Sources(paths, leaderboard, tuple(Model(name, folders[name]) for name in names))


def optional_table(path: Path) -> pl.DataFrame | None:
    """Return a table as `read_table` does; None if there is no file."""
    return read_table(path) if path.is_file() else None


def read_table(path: Path, remedy: str = "run the stage that makes it again", **options: Any) -> pl.DataFrame:
    """Return a table in CSV or parquet; it is a DataError if it is missing or damaged."""
    try:
        return pl.read_csv(path, **options) if path.suffix == ".csv" else pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); {remedy}") from error


METRIC_TITLES: Final = {name: metric.title for name, metric in METRICS.items()}
_HEADS: Final = {
    "fit_s": "fit, s",
    "predict_docs_per_s": "movies per second",
    "model_mb": "size, MB",
    "behind": "gap to best (95% CI)",
    "chosen_by": "chosen by",
}


def metric_title(column: str) -> str:
    """Return a column of the leaderboard as its heading.

    >>> metric_title("test_f1_macro"), metric_title("val_jaccard"), metric_title("peak_memory_mb")
    ('F1 (macro)', 'Jaccard on validation', 'peak memory, MB')
    """
    if column in _HEADS:
        return _HEADS[column]
    part, _, metric = column.partition("_")
    if part in {"test", "val"}:
        return METRIC_TITLES.get(metric, metric.replace("_", " ")) + (" on validation" if part == "val" else "")
    return re.sub(r" (mb|s)$", lambda unit: f", {unit[1].replace('mb', 'MB')}", column.replace("_", " "))


SENTENCES: Final = Path(__file__).with_name("sentences.jinja")
say = partial(fill, SENTENCES)  # a text of the report by its name there, and its data
