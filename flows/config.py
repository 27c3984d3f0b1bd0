"""The parameters of all flows.

The same frozen models define the command lines, the forms in Prefect's UI, the parameters in `prefect.yaml`, the
presets in `deployments/presets/` and what MLflow logs. Explicit options override the preset, which overrides the
defaults.
"""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    model_validator,
)

from tasks.acquire.config import CrawlConfig, DownloadConfig, DriveFile, SampleConfig
from tasks.annotate.config import AnnotateConfig
from tasks.clean.config import CleanConfig, TableConfig
from tasks.core.errors import ConfigError, require
from tasks.core.metrics import ChoiceMetric, PromotionConfig
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import PROJECT_ROOT
from tasks.core.storage import in_storage, is_directory
from tasks.evaluate.evaluation import EvaluateConfig, RuleName
from tasks.explore.config import ExploreConfig
from tasks.models.search import space_of
from tasks.models.select import check_installed, choose_models
from tasks.models.spec import AnyModel, ModelSpec, Precision, TransformerSpec
from tasks.split.parts import SplitConfig

PRESETS: Final = PROJECT_ROOT / "deployments" / "presets"
NAMED_SOURCES: Final = ("sample", "kaggle")
TABLE_FILES: Final = (".csv", ".parquet")
# Decision rules fitted for these metrics; expected-jaccard for all others.
RULES: Final = {"f1_macro": "per-genre-f1", "f1_samples": "expected-f1"}
# What PyYAML raises for bytes that are not text, impossible dates, unknown tags and deep nesting.
_YAML_ERRORS: Final = (ValueError, LookupError, AttributeError, TypeError, RecursionError)

Config = TypeVar("Config", bound="FlowConfig")


class HelpGroup(NamedTuple):
    """Marks a field that `--help` shows, under this title; `--help-all` shows all fields."""

    title: str
    rank: int = 1


DATA, MODELS, RUN, RESULTS = map(HelpGroup, ("Data", "Models", "Run", "Results"))
MODELS_FIRST: Final = HelpGroup("Models", 0)


def load_preset(name: str) -> dict[str, Any]:
    """Return the options in a preset: the name of a file in `PRESETS`, or the path of a YAML file.

    Raises:
        ConfigError: there is no such preset, the file is not a YAML mapping, or an option in it does not exist.
    """
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
    """Return the options in a YAML file; a relative path in `source` is relative to the file's folder.

    Raises:
        ConfigError: the file cannot be read or does not hold a mapping.
    """
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; give the path of a YAML file with options") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: not valid YAML ({error.problem}); fix the line") from error
    except (OSError, yaml.YAMLError, *_YAML_ERRORS) as error:
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


class FlowConfig(BaseModel):
    """Options of every command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: ClassVar[tuple[str, ...]] = ()  # command lines that `--help` shows, without the command

    verbose: Annotated[bool, RUN] = Field(False, description="Log everything, not only progress and warnings.")

    @property
    def given(self) -> dict[str, Any]:
        """The options given explicitly, without defaults."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class SeededConfig(FlowConfig):
    """A flow that uses random numbers."""

    seed: Annotated[int, RUN] = Field(DEFAULT_SEED, ge=0, lt=2**32, description="Random seed.")


class PresetConfig(SeededConfig):
    """A flow whose defaults a preset can replace."""

    preset: Annotated[str, MODELS_FIRST] = Field("quick", description="Name of a preset, or path of a YAML file.")

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def given(self) -> dict[str, Any]:
        """The options given explicitly, without those of defaults and the preset."""
        return self._given

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in_preset(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict):
            return validate(given)
        preset = load_preset(str(given.get("preset", cls.model_fields["preset"].default)))
        known = {key: value for key, value in preset.items() if key in cls.model_fields}
        filled = validate(merged(known, given))
        filled._given = given  # noqa: SLF001 - its own
        return filled


class RunnerConfig(FlowConfig):
    """A flow that works in parallel."""

    runner: Annotated[Literal["thread", "process", "dask"], RUN] = Field(
        "thread", description="What trains models in parallel; dask also processes shards and long files."
    )
    dask_address: str | None = Field(
        None, description="Dask scheduler for --runner dask, such as tcp://127.0.0.1:8786; see deployments/SCALING.md."
    )
    workers: Annotated[PositiveInt | None, RUN] = Field(
        None, description="Models, shards or files to process in parallel. Default: one per core."
    )

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

    experiment: Annotated[str, RUN] = Field("genreflow", min_length=1, description="Name of the MLflow experiment.")


class RawDataConfig(FlowConfig):
    """How raw data is obtained."""

    sample: SampleConfig = Field(SampleConfig(), description="The embedded sample, if it is the source.")
    download: DownloadConfig = Field(DownloadConfig(), description="Downloads from Kaggle and Google Drive.")
    drive: tuple[DriveFile, ...] = Field(
        (), description="Also download these files of the earlier system: crawl_data, clean_data, conllu_data, genres."
    )
    crawl: CrawlConfig = Field(CrawlConfig(), description="Fetching of missing plots; see docs/crawling.md.")


class AcquireConfig(SeededConfig, RawDataConfig):
    """Get the raw listings into data/raw."""

    source: Annotated[str, DATA] = Field(
        "sample", description="sample, kaggle, or a folder or zip of per-genre CSVs (path or s3://...)."
    )


class AcquireFlowConfig(AcquireConfig):
    """Get the raw listings into data/raw, and missing plots into data/crawl."""

    examples: ClassVar[tuple[str, ...]] = ("--source kaggle", "--source listings.zip", "--plan")

    plan: Annotated[bool, RUN] = Field(
        False, description="Only report what a crawl would request, from which sources and for how long; fetch nothing."
    )


class PrepareConfig(PresetConfig, RunnerConfig, RawDataConfig):
    """Clean, annotate and split what is in data/raw."""

    examples: ClassVar[tuple[str, ...]] = ("--source kaggle", "--config own-table.yaml", "--skip annotate")

    source: Annotated[str | None, DATA] = Field(
        None, description="Acquire this source first, as flows/acquire.py does. Default: use what is in data/raw."
    )
    start_from: Literal["listings", "clean_data", "conllu_data"] = Field(
        "listings", description="Start with the listings, or with the earlier system's cleaned or tokenised data."
    )
    table: TableConfig | None = Field(
        None, description="Columns of your own CSV or parquet table, given as source; see docs/own-data.md."
    )
    clean: CleanConfig = Field(CleanConfig(), description="Cleaning.")
    annotate: AnnotateConfig = Field(AnnotateConfig(), description="Tokens, lemmas and CoNLL-U.")
    split: SplitConfig = Field(SplitConfig(), description="Train, validation and test.")
    skip: tuple[Literal["annotate"], ...] = Field(
        (), description="Stages to skip: annotate (models that use lemmas need it)."
    )

    @model_validator(mode="after")
    def _crawl_needs_listings(self) -> Self:
        if self.start_from != "listings" and self.crawl.online:
            raise ConfigError(
                f"crawl.online completes listings, which start_from {self.start_from} does not read: drop one of them"
            )
        return self

    @model_validator(mode="after")
    def _table_is_a_file(self) -> Self:
        if self.table is None:
            return self
        if Path(self.source or "").suffix.lower() not in TABLE_FILES:
            raise ConfigError(
                f"table describes the columns of a file, but source is {self.source or 'not given'}: give --source "
                "FILE.csv or FILE.parquet"
            )
        if in_storage(self.source or ""):
            raise ConfigError(f"your own table is read from a path: copy {self.source} to this machine first")
        if self.start_from != "listings" or self.drive or self.crawl.online:
            raise ConfigError("start_from, drive and crawl.online are for listings, not for your own table")
        return self


class PicturesConfig(FlowConfig):
    """A flow that draws."""

    pictures: Annotated[Literal["shown", "all"], RESULTS] = Field(
        "shown",
        description="shown: only what the report shows, as SVG; all: every picture, as SVG and PNG.",
    )

    @property
    def draws_all(self) -> bool:
        """Whether to draw also pictures that no page of the run shows."""
        return self.pictures == "all"

    @property
    def forms(self) -> tuple[Literal["svg", "png"], ...]:
        """File formats of pictures."""
        return ("svg", "png") if self.draws_all else ("svg",)


class ExploreFlowConfig(PicturesConfig):
    """Draw and tabulate the raw and the clean data."""

    examples: ClassVar[tuple[str, ...]] = ("", "--explore.of raw", "--pictures all")

    explore: ExploreConfig = Field(ExploreConfig(), description="What to draw.")


class ModelChoiceConfig(FlowConfig):
    """A flow that trains models from the registry, or your own."""

    model_params: Annotated[dict[str, dict[str, Any]], MODELS] = Field(
        {}, description='Parameters to change, by model: \'{"logreg-tfidf": {"C": 2}}\'.'
    )
    own_models: tuple[AnyModel, ...] = Field((), description="Your own models to choose from; see docs/models.md.")


class GenresConfig(FlowConfig):
    """A flow that can leave genres out."""

    genres: Annotated[tuple[str, ...], MODELS] = Field(
        (), description="Train only these genres, such as Horror. Default: all."
    )
    without_genres: tuple[str, ...] = Field((), description="Genres to ignore, such as Drama.")


class ModelsConfig(PresetConfig, RunnerConfig, ModelChoiceConfig, GenresConfig, ExperimentConfig):
    """A flow that trains chosen models on the prepared data."""

    models: Annotated[tuple[str, ...], MODELS_FIRST] = Field(
        (), description="Names or globs of models. Default: those of the preset."
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="How each model's decision rule is chosen.")

    @model_validator(mode="after")
    def _models_exist(self) -> Self:
        # Report a typo, or a package that is not installed, before any work is done.
        check_installed(choose_models(self.models, self.model_params, self.own_models))
        return self


class TrainConfig(ModelsConfig):
    """Train, evaluate and log the chosen models on the prepared data."""

    examples: ClassVar[tuple[str, ...]] = (
        "--models 'logreg-*' --models svm-title",
        '--models svm-title --model-params \'{"svm-title": {"C": 0.2}}\'',
        "--preset full --budget-minutes 60",
        "--runner process --workers 4",
    )

    train_on: Literal["train", "development"] = Field(
        "train", description="The whole train part, or its stratified tenth for quick experiments."
    )
    budget_minutes: Annotated[PositiveFloat | None, MODELS] = Field(
        None, description="Total minutes for fine-tuning, shared by the encoders. Default: each model's own limit."
    )


class CrossValidateConfig(ModelsConfig):
    """Train the chosen models on four fifths of all movies and score the fifth left out, five times."""

    examples: ClassVar[tuple[str, ...]] = ("--models 'logreg-*'", "--preset standard --workers 2")

    @model_validator(mode="after")
    def _models_can_be_cross_validated(self) -> Self:
        chosen = choose_models(self.models, self.model_params, self.own_models)
        if tuned := [model.name for model in chosen if isinstance(model, TransformerSpec)]:
            raise ConfigError(f"{', '.join(tuned)}: fine-tuned models are evaluated on validation and test only")
        return self


class SearchConfig(SeededConfig, ModelChoiceConfig, GenresConfig, ExperimentConfig):
    """Search for better parameters of one model, one trial at a time, judged on validation."""

    examples: ClassVar[tuple[str, ...]] = (
        "--model logreg-title",
        "--model svm-title --vary C --trials 20 --metric f1_macro",
    )

    model: Annotated[str, MODELS_FIRST] = Field(description="Name of the model.")
    vary: Annotated[tuple[str, ...], MODELS] = Field(
        (), description="Parameters to vary, such as C. Default: all searchable parameters."
    )
    trials: Annotated[PositiveInt | None, RUN] = Field(
        None, description="Total number of trials, including those of earlier runs. Default: no limit."
    )
    budget_minutes: Annotated[PositiveFloat, RUN] = Field(10, description="Start no new trial after this many minutes.")
    metric: Annotated[ChoiceMetric, MODELS] = Field("jaccard", description="Metric to optimise, on validation.")
    rule: RuleName | None = Field(None, description="Decision rule of all trials. Default: the one for the metric.")
    train_on: Literal["train", "development"] = Field(
        "train", description="The whole train part, or its stratified tenth for quick experiments."
    )

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        check_installed([self.chosen_model])
        space_of(self.chosen_model, self.vary)  # report a typo before any work is done
        return self

    @property
    def chosen_model(self) -> ModelSpec:
        """The model to start from."""
        return _single_model(self, "search tunes")

    @property
    def rule_for_metric(self) -> str:
        """The decision rule of all trials."""
        return self.rule or RULES.get(self.metric, "expected-jaccard")


class AuditConfig(SeededConfig, ModelChoiceConfig, ExperimentConfig):
    """Find the train movies whose genres are most likely wrong, and measure the effect of dropping them."""

    examples: ClassVar[tuple[str, ...]] = ("--model svm-title", "--model logreg-title --share 0.02")

    model: Annotated[str, MODELS_FIRST] = Field(description="Name of the model.")
    share: Annotated[float | None, DATA] = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of train movies to drop, the most doubtful first; 'none' drops all doubtful.",
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="How each model's decision rule is chosen.")

    @model_validator(mode="after")
    def _can_be_trained_many_times(self) -> Self:
        check_installed([self.chosen_model])  # report a typo before any work is done
        require(["audit"], "an audit of labels")
        return self

    @property
    def chosen_model(self) -> ModelSpec:
        """The model to audit with."""
        return _single_model(self, "audit trains")


class ChampionConfig(PicturesConfig):
    """Which models are compared in detail, and when the best becomes the champion."""

    pair: tuple[str, ...] = Field(
        (), description="Two models to compare in detail. Default: the best model, and the best of another kind."
    )
    promotion: PromotionConfig = Field(PromotionConfig(), description="When the best model becomes the champion.")
    report: Annotated[bool, RESULTS] = Field(True, description="Explain the best models and write results/report.html.")

    @model_validator(mode="after")
    def _pair_is_two(self) -> Self:
        if self.pair and len(set(self.pair)) != 2:
            raise ValueError(f"--pair takes two model names, such as --pair svm-fields,blend, not {self.pair}")
        return self


class PipelineConfig(TrainConfig, PrepareConfig, AcquireConfig, ExploreFlowConfig, ChampionConfig):
    """Run everything: acquire, clean, annotate, split, explore, train, evaluate, compare, promote."""

    examples: ClassVar[tuple[str, ...]] = (
        "",
        "--source kaggle --preset standard",
        "--source listings/ --models 'logreg-*' --models svm-title",
        "--config deployments/presets/own-table.yaml",
    )

    source: Annotated[str, DATA] = Field(
        "sample",
        description="sample, kaggle, a folder or zip of per-genre CSVs (path or s3://...), or your own CSV or parquet "
        "file, described by table.",
    )

    @model_validator(mode="after")
    def _models_have_fields_to_read(self) -> Self:
        if self.table is None or self.table.fields:
            return self
        chosen = choose_models(self.models, self.model_params, self.own_models)
        if reading := [model.name for model in chosen if isinstance(model, ModelSpec) and model.reads_fields]:
            raise ConfigError(
                f"{', '.join(reading)}: these models read fields, but the table has none. Name columns in "
                "table.fields, or leave these models out of --models"
            )
        return self


class CompareConfig(ChampionConfig):
    """Rank the models of the last run, or of any MLflow runs, by their validation scores; promote the best."""

    examples: ClassVar[tuple[str, ...]] = ("", "--pair svm-fields,blend", "--experiment genreflow", "--rollback")

    runs: Annotated[tuple[str, ...], MODELS] = Field(
        (), description="MLflow run ids of models, or of pipelines (all their models). Default: the last run."
    )
    experiment: Annotated[str | None, MODELS] = Field(None, description="Compare the models of this MLflow experiment.")
    filter: Annotated[str | None, MODELS] = Field(
        None, description='MLflow filter of the experiment\'s runs, such as \'tags."genreflow.preset" = "full"\'.'
    )
    rollback: Annotated[bool, RESULTS] = Field(False, description="Only restore the previous champion.")

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

    examples: ClassVar[tuple[str, ...]] = (
        '--text "A nurse hears voices in an abandoned ward." --explain',
        "--input movies.csv --output genres.csv --rule threshold=0.3",
        "--input incoming/ --output predicted/",
    )

    text: Annotated[str | None, DATA] = Field(None, description="A description to classify.")
    title: Annotated[str | None, DATA] = Field(None, description="Title that belongs to --text.")
    input: Annotated[str | None, DATA] = Field(
        None,
        description="CSV or parquet file with movie_id, description and optionally movie_name and fields, or a folder "
        "in which to score new and changed files (path or s3://...).",
    )
    output: Annotated[str | None, RESULTS] = Field(
        None, description="CSV or parquet file, or folder, for the result: movie_id, genres and one score per genre."
    )
    model: Annotated[str, MODELS_FIRST] = Field(
        "champion", description="champion, or an MLflow model address such as models:/name/1."
    )
    rule: Annotated[str | None, MODELS] = Field(
        None,
        description="A stored decision rule (per-genre, expected-jaccard, ...), threshold=0.3, top=2, or thresholds by "
        "genre, Drama=0.6,Horror=0.3. Default: the model's best.",
    )
    precision: Precision = Field(
        "float32", description="Precision of fine-tuned encoders; int8 is several times faster but not exactly equal."
    )
    explain: Annotated[bool, RESULTS] = Field(
        False, description="Show which words raise or lower each genre's score, on a page; with --text also here."
    )
    explain_rows: PositiveInt = Field(20, description="Number of rows at the start of --input to explain.")
    explained: Annotated[Path | None, RESULTS] = Field(
        None, description="HTML page to write. Default: data/results/explained.html, or next to --output."
    )

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

    examples: ClassVar[tuple[str, ...]] = ("--plan", "--keep-runs 5 --caches", "--purge")

    keep_runs: Annotated[int, DATA] = Field(20, ge=0, description="Number of newest pipeline runs, and logs, to keep.")
    caches: Annotated[bool, DATA] = Field(
        False, description="Also remove cached feature matrices, which the next training recreates."
    )
    purge: Annotated[bool, DATA] = Field(
        False, description="Also empty MLflow's trash: everything ever deleted in the store is lost for good."
    )
    plan: Annotated[bool, RUN] = Field(False, description="Only report what would be removed.")


class DemoConfig(FlowConfig):
    """Open a web page to try the models on your own texts."""

    examples: ClassVar[tuple[str, ...]] = ("", "--port 8080")

    host: Annotated[str, RUN] = Field(
        "127.0.0.1", description="Address to listen on; a non-loopback address lets other machines in."
    )
    port: Annotated[int, RUN] = Field(7860, ge=1, le=65_535, description="Port to listen on.")


def with_arguments(config_type: type[Config], config: Config | None, **arguments: Any) -> Config:
    """Return a flow's configuration, completed by the options that the flow takes as separate arguments.

    Raises:
        ConfigError: an option is given in both, with different values.
    """
    given = {name: value for name, value in arguments.items() if value not in (None, "", (), [])}
    if config is None:
        return config_type.model_validate(given)
    for name, value in given.items():
        in_config = config.given.get(name, value)
        if in_config != value and tuple(in_config) != tuple(value):
            raise ConfigError(f"{name} is {value}, but {in_config} in config: give it once")
    return config_type.model_validate({**config.given, **given}) if given else config


def check_source(source: object) -> None:
    """Check that a source on this machine exists.

    Raises:
        ConfigError: there is no such file or folder.
    """
    if not isinstance(source, str) or not source or source in NAMED_SOURCES or in_storage(source):
        return
    if not Path(source).expanduser().exists():
        raise ConfigError(f"--source: there is no file or folder {source} (relative paths start from {Path.cwd()})")


def narrow(config: FlowConfig, config_type: type[Config]) -> Config:
    """Return a larger configuration as a smaller one, with only the fields of the latter."""
    return config_type.model_validate({name: getattr(config, name) for name in config_type.model_fields})


def _single_model(config: SearchConfig | AuditConfig, doing: str) -> ModelSpec:
    """Return the one model that a flow works on.

    Raises:
        ConfigError: there is no such model, it is fine-tuned, or it is an ensemble.
    """
    chosen = choose_models((config.model,), config.model_params, config.own_models)
    if isinstance(chosen[0], TransformerSpec):
        raise ConfigError(f"{doing} a model many times, which takes too long for {config.model}: it is fine-tuned")
    if len(chosen) > 1 or not isinstance(chosen[0], ModelSpec):
        names = ", ".join(model.name for model in chosen if isinstance(model, ModelSpec))
        raise ConfigError(f"{doing} one model, but {config.model} means several; name one of: {names}")
    return chosen[0]
