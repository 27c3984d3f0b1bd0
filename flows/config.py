"""The parameters of all flows.

The same frozen models define the command lines, the forms in Prefect's UI, the parameters in `prefect.yaml`, the
presets in `deployments/presets/` and what MLflow logs. Explicit options override the preset, which overrides the
defaults.
"""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt, PrivateAttr, model_validator

from tasks.acquire.config import CrawlConfig, DownloadConfig, DriveFile, SampleConfig
from tasks.annotate.corpus import AnnotateConfig
from tasks.clean.own_table import TableConfig
from tasks.clean.profiles import CleanConfig
from tasks.core.errors import ConfigError, require
from tasks.core.files import is_same_file
from tasks.core.metrics import ChoiceMetric, PromotionConfig
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import PROJECT_ROOT
from tasks.core.storage import in_storage, is_directory
from tasks.evaluate.evaluation import EvaluateConfig, RuleName
from tasks.explore.config import ExploreConfig
from tasks.models.registry import check_installed, choose_models
from tasks.models.search import space_of
from tasks.models.spec import AnyModel, ModelSpec, Precision, TransformerSpec
from tasks.split.parts import SplitConfig

PRESETS: Final = PROJECT_ROOT / "deployments" / "presets"
NAMED_SOURCES: Final = ("sample", "kaggle")
TABLE_FILES: Final = (".csv", ".parquet")
# Decision rules fitted for these metrics; expected-jaccard for all others.
RULES: Final = {"f1_macro": "per-genre-f1", "f1_samples": "expected-f1"}

Names = tuple[str, ...]
Config = TypeVar("Config", bound="FlowConfig")


class HelpGroup(NamedTuple):
    """Declares the options that `--help` shows under a title; those without one are only in `--help-all`."""

    title: str
    rank: int = 1

    def __call__(self, default: Any, description: str, **limits: Any) -> Any:
        """Return a field of the group; `...` as default means that it is required."""
        field: Any = Field(default, description=description, **limits)
        field.metadata.append(self)
        return field


DATA, MODELS, RUN, RESULTS, MORE = map(HelpGroup, ("Data", "Models", "Run", "Results", ""))
MODELS_FIRST: Final = HelpGroup("Models", 0)

TrainOn = Annotated[
    Literal["train", "development"],
    Field(description="The whole train part, or its stratified tenth for quick experiments."),
]


def load_preset(name: str) -> dict[str, Any]:
    """Return the options in a preset, the name of a file in `PRESETS` or a path, or raise a `ConfigError`."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
        raise ConfigError(f"no preset {name!r} ({path} does not exist); choose one of: {names}")
    preset = read_options(path)
    options = PipelineConfig.model_fields.keys() - {"preset"}
    if unknown := sorted(str(option) for option in preset if option not in options):
        raise ConfigError(f"{path}: a preset cannot set {', '.join(unknown)}; see flows/full_pipeline.py --help-all")
    return preset


def read_options(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file; a relative path in `source` is relative to the file's folder."""
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; give the path of a YAML file with options") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: not valid YAML ({error.problem}); fix the line") from error
    # PyYAML's own errors are not all: bytes that are not text, impossible dates, unknown tags, deep nesting.
    except (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(options, dict):
        raise ConfigError(f"{path} must hold a mapping from option to value")
    source = options.get("source")
    if isinstance(source, str) and source not in NAMED_SOURCES and not in_storage(source):
        options["source"] = os.path.normpath(path.absolute().parent / Path(source).expanduser())
    return options


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return two nested mappings as one; values in `above` win."""
    result = dict(below)
    for key, value in above.items():
        base = result.get(key)
        result[key] = merged(base, value) if isinstance(base, dict) and isinstance(value, dict) else value
    return result


class FlowConfig(BaseModel, frozen=True, extra="forbid"):
    """Options of every command."""

    verbose: bool = RUN(False, "Log everything, not only progress and warnings.")

    @property
    def given(self) -> dict[str, Any]:
        """The options given explicitly, without defaults."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class SeededConfig(FlowConfig):
    """A flow that uses random numbers."""

    seed: int = RUN(DEFAULT_SEED, "Random seed.", ge=0, lt=2**32)


class PresetConfig(SeededConfig):
    """A flow whose defaults a preset can replace."""

    preset: str = MODELS_FIRST("quick", "Name of a preset, or path of a YAML file.")

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def given(self) -> dict[str, Any]:
        """The options given explicitly, without those of defaults and the preset."""
        return self._given

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in_preset(cls, given: Any, validate: Callable[[Any], Self]) -> Self:
        if not isinstance(given, dict):
            return validate(given)
        preset = load_preset(str(given.get("preset", cls.model_fields["preset"].default)))
        known = {key: value for key, value in preset.items() if key in cls.model_fields}
        filled = validate(merged(known, given))
        filled._given = given  # noqa: SLF001 - its own
        return filled


class RunnerConfig(FlowConfig):
    """A flow that works in parallel."""

    runner: Literal["thread", "process", "dask"] = RUN("thread", "What trains models in parallel; dask also predicts.")
    dask_address: str | None = MORE(None, "Dask scheduler, such as tcp://127.0.0.1:8786; see deployments/SCALING.md.")
    workers: PositiveInt | None = RUN(None, "Models, shards or files to process in parallel. Default: one per core.")

    @model_validator(mode="after")
    def _dask_has_an_address(self) -> Self:
        if (self.runner == "dask") != (self.dask_address is not None):
            raise ValueError("--runner dask and --dask-address go together")
        if self.dask_address is not None and self.workers is not None:
            raise ValueError(
                "--workers does not apply to --runner dask: start as many `dask worker` processes as needed"
            )
        return self


class ExperimentConfig(FlowConfig):
    """A flow that logs its runs to an MLflow experiment."""

    experiment: str = RUN("genreflow", "Name of the MLflow experiment.", min_length=1)


class RawDataConfig(FlowConfig):
    """How raw data is obtained."""

    sample: SampleConfig = MORE(SampleConfig(), "The embedded sample, if it is the source.")
    download: DownloadConfig = MORE(DownloadConfig(), "Downloads from Kaggle and Google Drive.")
    drive: tuple[DriveFile, ...] = MORE((), "Also download these files of the earlier system, such as genres.")
    crawl: CrawlConfig = MORE(CrawlConfig(), "Fetching of missing plots; see docs/crawling.md.")


class AcquireConfig(SeededConfig, RawDataConfig):
    """Get the raw listings into data/raw, and missing plots into data/crawl."""

    source: str = DATA("sample", "sample, kaggle, or a folder or zip of per-genre CSVs (path or s3://...).")
    plan: bool = RUN(False, "Only report what a crawl would request, and for how long; fetch nothing.")


class PrepareConfig(PresetConfig, RunnerConfig, RawDataConfig):
    """Clean, annotate and split what is in data/raw."""

    source: str | None = DATA(None, "Acquire this source first. Default: use what is in data/raw.")
    start_from: Literal["listings", "clean_data", "conllu_data"] = MORE(
        "listings", "Start with the listings, or with the earlier system's cleaned or tokenised data."
    )
    table: TableConfig | None = MORE(None, "Columns of your own table, given as source; see docs/own-data.md.")
    clean: CleanConfig = MORE(CleanConfig(), "Cleaning.")
    annotate: AnnotateConfig = MORE(AnnotateConfig(), "Tokens, lemmas and CoNLL-U.")
    split: SplitConfig = MORE(SplitConfig(), "Train, validation and test.")
    skip: tuple[Literal["annotate"], ...] = MORE((), "Stages to skip: annotate (models that use lemmas need it).")

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        if self.start_from != "listings" and self.crawl.online:
            raise ConfigError(
                f"crawl.online completes listings, which start_from {self.start_from} does not read: drop one of them"
            )
        if self.table is None:
            return self
        source = self.source or ""
        if Path(source).suffix.lower() not in TABLE_FILES:
            raise ConfigError(
                f"table describes the columns of a file, but source is {source or 'not given'}: give --source "
                "FILE.csv or FILE.parquet"
            )
        if in_storage(source):
            raise ConfigError(f"your own table is read from a path: copy {source} to this machine first")
        if self.start_from != "listings" or self.drive or self.crawl.online:
            raise ConfigError("start_from, drive and crawl.online are for listings, not for your own table")
        return self


class PicturesConfig(FlowConfig):
    """A flow that draws."""

    pictures: Literal["shown", "all"] = RESULTS("shown", "Pictures as SVG that the report shows; or all, also as PNG.")

    @property
    def forms(self) -> tuple[Literal["svg", "png"], ...]:
        """File formats of pictures."""
        return ("svg", "png") if self.pictures == "all" else ("svg",)


class ExploreFlowConfig(PicturesConfig):
    """Draw and tabulate the raw and the clean data."""

    explore: ExploreConfig = MORE(ExploreConfig(), "What to draw.")


class ModelChoiceConfig(FlowConfig):
    """A flow that trains models from the registry, or your own."""

    model_params: dict[str, dict[str, Any]] = MODELS({}, 'Parameters to change: \'{"logreg-tfidf": {"C": 2}}\'.')
    own_models: tuple[AnyModel, ...] = MORE((), "Your own models to choose from; see docs/models.md.")


class GenresConfig(FlowConfig):
    """A flow that can leave genres out."""

    genres: Names = MODELS((), "Train only these genres, such as Horror. Default: all.")
    without_genres: Names = MORE((), "Genres to ignore, such as Drama.")


class ModelsConfig(PresetConfig, RunnerConfig, ModelChoiceConfig, GenresConfig, ExperimentConfig):
    """A flow that trains chosen models on the prepared data."""

    models: Names = MODELS_FIRST((), "Names or globs of models. Default: those of the preset.")
    evaluate: EvaluateConfig = MORE(EvaluateConfig(), "How each model's decision rule is chosen.")

    @property
    def chosen_models(self) -> tuple[AnyModel, ...]:
        """The chosen models, with the members of ensembles."""
        return tuple(choose_models(self.models, self.model_params, self.own_models))

    @model_validator(mode="after")
    def _models_exist(self) -> Self:
        check_installed(self.chosen_models)  # report a typo before any work is done
        return self


class TrainConfig(ModelsConfig):
    """Train, evaluate and log the chosen models on the prepared data."""

    train_on: TrainOn = "train"
    budget_minutes: PositiveFloat | None = MODELS(None, "Minutes for all fine-tuning. Default: each model's own limit.")


class CrossValidateConfig(ModelsConfig):
    """Train the chosen models on four fifths of all movies and score the fifth left out, five times."""

    @model_validator(mode="after")
    def _models_can_be_cross_validated(self) -> Self:
        if tuned := [model.name for model in self.chosen_models if isinstance(model, TransformerSpec)]:
            raise ConfigError(f"{', '.join(tuned)}: fine-tuned models are evaluated on validation and test only")
        return self


class SingleModelConfig(SeededConfig, ModelChoiceConfig, ExperimentConfig):
    """A flow that trains one model many times."""

    doing: ClassVar[str]  # how an error calls that

    model: str = MODELS_FIRST(..., "Name of the model.")

    @model_validator(mode="after")
    def _model_is_installed(self) -> Self:
        check_installed([self.chosen_model])  # report a typo before any work is done
        return self

    @property
    def chosen_model(self) -> ModelSpec:
        """The model to train; others than single models that are fitted quickly are refused."""
        chosen = choose_models((self.model,), self.model_params, self.own_models)
        if isinstance(chosen[0], TransformerSpec):
            why = f"which takes too long for {self.model}: it is fine-tuned"
            raise ConfigError(f"{self.doing} a model many times, {why}")
        if len(chosen) > 1 or not isinstance(chosen[0], ModelSpec):
            names = ", ".join(model.name for model in chosen if isinstance(model, ModelSpec))
            raise ConfigError(f"{self.doing} one model, but {self.model} means several; name one of: {names}")
        return chosen[0]


class SearchConfig(SingleModelConfig, GenresConfig):
    """Search for better parameters of one model, one trial at a time, judged on validation."""

    doing: ClassVar[str] = "search tunes"
    vary: Names = MODELS((), "Parameters to vary, such as C. Default: all searchable parameters.")
    trials: PositiveInt | None = RUN(None, "Number of trials, with those of earlier runs. Default: no limit.")
    budget_minutes: PositiveFloat = RUN(10, "Start no new trial after this many minutes.")
    metric: ChoiceMetric = MODELS("jaccard", "Metric to optimise, on validation.")
    rule: RuleName | None = MORE(None, "Decision rule of all trials. Default: the one for the metric.")
    train_on: TrainOn = "train"

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        space_of(self.chosen_model, self.vary)
        return self

    @property
    def rule_for_metric(self) -> str:
        """The decision rule of all trials."""
        return self.rule or RULES.get(self.metric, "expected-jaccard")


class AuditConfig(SingleModelConfig):
    """Find the train movies whose genres are most likely wrong, and measure the effect of dropping them."""

    doing: ClassVar[str] = "audit trains"
    share: float | None = DATA(0.05, "Share of train movies to drop; 'none': all doubtful ones.", gt=0, lt=1)
    evaluate: EvaluateConfig = MORE(EvaluateConfig(), "How each model's decision rule is chosen.")

    @model_validator(mode="after")
    def _can_be_audited(self) -> Self:
        require(["audit"], "an audit of labels")
        return self


class ChampionConfig(PicturesConfig):
    """Which models are compared in detail, and when the best becomes the champion."""

    pair: Names = MORE((), "Two models to compare in detail. Default: the best model, and the best of another kind.")
    promotion: PromotionConfig = MORE(PromotionConfig(), "When the best model becomes the champion.")
    report: bool = RESULTS(True, "Explain the best models and write results/report.html.")

    @model_validator(mode="after")
    def _pair_is_two(self) -> Self:
        if self.pair and len(set(self.pair)) != 2:
            raise ValueError(f"--pair takes two model names, such as --pair svm-fields,blend, not {self.pair}")
        return self


class PipelineConfig(TrainConfig, PrepareConfig, ExploreFlowConfig, ChampionConfig):
    """Run everything: acquire, clean, annotate, split, explore, train, evaluate, compare, promote."""

    source: str = DATA(
        "sample",
        "sample, kaggle, a folder or zip of per-genre CSVs (path or s3://...), or your own CSV or parquet file, "
        "described by table.",
    )

    @model_validator(mode="after")
    def _models_have_fields_to_read(self) -> Self:
        models = self.chosen_models if self.table is not None and not self.table.fields else ()
        if reading := [model.name for model in models if isinstance(model, ModelSpec) and model.reads_fields]:
            raise ConfigError(
                f"{', '.join(reading)}: these models read fields, but the table has none. Name columns in "
                "table.fields, or leave these models out of --models"
            )
        return self


class CompareConfig(ChampionConfig):
    """Rank the models of the last run, or of any MLflow runs, by their validation scores; promote the best."""

    runs: Names = MODELS((), "MLflow run ids of models, or of pipelines (all their models). Default: the last run.")
    experiment: str | None = MODELS(None, "Compare the models of this MLflow experiment.")
    filter: str | None = MODELS(None, 'MLflow filter of its runs, such as \'tags."genreflow.preset" = "full"\'.')
    rollback: bool = RESULTS(False, "Only restore the previous champion.")

    @model_validator(mode="after")
    def _one_choice_of_runs(self) -> Self:
        if self.runs and (self.experiment or self.filter):
            raise ValueError("give either --runs, or --experiment and --filter")
        if self.rollback and (self.chooses_runs or self.pair):
            raise ValueError("--rollback compares nothing; give it alone")
        return self

    @property
    def chooses_runs(self) -> bool:
        """Whether to compare runs other than the last pipeline's."""
        return bool(self.runs or self.experiment or self.filter)

    @property
    def promotes(self) -> bool:
        """Whether the best model challenges the champion."""
        return not self.chooses_runs if self.promotion.enabled is None else self.promotion.enabled


class PredictConfig(RunnerConfig):
    """Predict genres for new descriptions."""

    text: str | None = DATA(None, "A description to classify.")
    title: str | None = DATA(None, "Title that belongs to --text.")
    input: str | None = DATA(
        None,
        "CSV or parquet file with movie_id, description and optionally movie_name and fields, or a folder "
        "in which to score new and changed files (path or s3://...).",
    )
    output: str | None = RESULTS(None, "CSV or parquet file, or folder, for movie_id, genres and one score per genre.")
    model: str = MODELS_FIRST("champion", "champion, or an MLflow model address such as models:/name/1.")
    rule: str | None = MODELS(
        None,
        "A stored decision rule (per-genre, expected-jaccard, ...), threshold=0.3, top=2, or thresholds by "
        "genre, Drama=0.6,Horror=0.3. Default: the model's best.",
    )
    precision: Precision = MORE("float32", "Precision of fine-tuned encoders; int8 is faster but not exactly equal.")
    overwrite: bool = MORE(False, "In a folder, also replace files that are not predictions of earlier runs.")
    explain: bool = RESULTS(False, "Show on a page, or with --text here, which words raise or lower each score.")
    explain_rows: PositiveInt = MORE(20, "Number of rows at the start of --input to explain.")
    explained: Path | None = RESULTS(None, "HTML page. Default: data/results/explained.html, or next to --output.")

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> Self:
        if (self.text is None) == (self.input is None):
            raise ValueError("give either --text, or --input and --output")
        if (self.input is None) != (self.output is None):
            raise ValueError("--input and --output go together")
        if self.title is not None and self.text is None:
            raise ValueError("--title goes with --text; a file has its titles in the column movie_name")
        if self.output is not None and self.output == self.input:
            raise ValueError("--input and --output are the same; give another file or folder to write to")
        given = {name: str(path) for name in ("input", "output", "explained") if (path := getattr(self, name))}
        local = {f"--{name}": Path(path) for name, path in given.items() if not in_storage(path)}
        for (one, path), (other, another) in itertools.combinations(local.items(), 2):
            if is_same_file(path, another):
                raise ValueError(f"{one} and {other} are the same; give another file or folder to write to")
        if self.output is not None and not self.reads_folder and not self.output.lower().endswith(TABLE_FILES):
            raise ValueError(f"--output {self.output}: give a name that ends in {' or '.join(TABLE_FILES)}")
        if self.explained is not None and not self.explain:
            raise ValueError("--explained is where --explain writes; give both")
        if self.explained is not None and self.explained.parts[:1] == ("s3:",):
            raise ValueError("--explained takes a local path; without it the page goes next to --output, also on s3://")
        if self.explain and self.reads_folder:
            raise ValueError("--explain explains --text or the first rows of a file, not a folder")
        return self

    @property
    def reads_folder(self) -> bool:
        """Whether the input is a folder of files."""
        return self.input is not None and is_directory(self.input)


class TidyConfig(ExperimentConfig):
    """Remove old runs, logs and caches. Registered models, their runs and the last run are always kept."""

    keep_runs: int = DATA(20, "Number of newest pipeline runs, and logs, to keep.", ge=0)
    caches: bool = DATA(False, "Also remove cached feature matrices, which the next training recreates.")
    purge: bool = DATA(False, "Also empty MLflow's trash: everything ever deleted in the store is lost for good.")
    outputs: bool = DATA(
        False,
        "Remove all files that a run makes again; downloads, crawls, searches, checkpoints, the MLflow store and your "
        "own files stay.",
    )
    plan: bool = RUN(False, "Only report what would be removed.")


class ServerConfig(FlowConfig):
    """Where a server listens."""

    host: str = RUN("127.0.0.1", "Address to listen on; a non-loopback address lets other machines in.")


class ServeConfig(ServerConfig):
    """Serve a model over HTTP."""

    model: str = MODELS("champion", "Model: champion, models:/<name>/<version> or models:/<name>@<alias>.")
    port: int = RUN(8000, "Port to listen on.", ge=1, le=65_535)


class DemoConfig(ServerConfig):
    """Open a web page to try the models on your own texts."""

    port: int = RUN(7860, "Port to listen on.", ge=1, le=65_535)


def with_arguments(config_type: type[Config], config: Config | None, **arguments: Any) -> Config:
    """Return a flow's configuration, completed by its other arguments; the same option may not differ in both."""
    given = {name: value for name, value in arguments.items() if value not in (None, "", (), [])}
    if config is None:
        return config_type.model_validate(given)
    for name, value in given.items():
        in_config = config.given.get(name, value)
        if in_config != value and tuple(in_config) != tuple(value):
            raise ConfigError(f"{name} is {value}, but {in_config} in config: give it once")
    return config_type.model_validate({**config.given, **given}) if given else config


def check_source(source: object) -> None:
    """Raise a `ConfigError` if a source on this machine does not exist."""
    if not isinstance(source, str) or not source or source in NAMED_SOURCES or in_storage(source):
        return
    if not Path(source).expanduser().exists():
        raise ConfigError(f"--source: there is no file or folder {source} (relative paths start from {Path.cwd()})")
