"""The flows' parameters: what an experiment chooses. Owns what can be chosen; knows no machine fact.

The same frozen models are the command lines, the forms in Prefect's UI, the parameters in `prefect.yaml`, the presets
in `deployments/presets/` and what MLflow logs. Precedence: given explicitly, then the preset, then the default.
"""

import os
from collections.abc import Container
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

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
from tasks.core.metrics import ChoiceMetric
from tasks.core.promotion import PromotionConfig
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
# What PyYAML raises of itself for bytes that are no text, dates that do not exist, tags of other types, depth.
_YAML_SLIPS: Final = (ValueError, LookupError, AttributeError, TypeError, RecursionError)


def load_preset(name: str, options: Container[str]) -> dict[str, Any]:
    """Return the content of a preset.

    Args:
        name: of a file in `PRESETS`, or the path of a YAML file.
        options: that a preset may set.

    Raises:
        ConfigError: there is no such preset, the file is not a YAML mapping, or an option in it does not exist.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
        raise ConfigError(f"no preset {name!r} ({path} does not exist); there are: {names}")
    preset = read_options(path)
    if strangers := sorted(str(option) for option in preset if option not in options or option == "preset"):
        raise ConfigError(f"{path}: a preset cannot set {', '.join(strangers)}; see flows/full_pipeline.py --help")
    return preset


def read_options(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file; a file or folder that it names as its source starts from its own folder.

    Raises:
        ConfigError: the file cannot be read or holds no mapping.
    """
    options = read_yaml(path)
    source = options.get("source")
    if isinstance(source, str) and source not in NAMED_SOURCES and not in_storage(source):
        options["source"] = os.path.normpath(path.absolute().parent / Path(source).expanduser())
    return options


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: the file cannot be read or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}; give the path of a YAML file with options") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: no YAML ({error.problem}); mend the line") from error
    except (OSError, yaml.YAMLError, *_YAML_SLIPS) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no mapping of option to value")
    return content


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return two nested mappings as one; where both have a value, that of `above` stands."""
    result = dict(below)
    for key, value in above.items():
        base = result.get(key)
        nested = isinstance(base, dict) and isinstance(value, dict)
        result[key] = merged(base, value) if nested else value  # type: ignore[arg-type]
    return result


Config = TypeVar("Config", bound="FlowConfig")

TABLE_FILES = (".csv", ".parquet")
RULES = {"f1_macro": "per-genre-f1", "f1_samples": "expected-f1"}  # fitted for these metrics; else expected-jaccard


class FlowConfig(BaseModel):
    """What all flows share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verbose: bool = Field(False, description="Log everything, not only the progress of the stages and warnings.")

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, without what defaults filled in."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class SeededConfig(FlowConfig):
    """A flow that draws numbers."""

    seed: int = Field(DEFAULT_SEED, ge=0, lt=2**32, description="Seed of everything that draws numbers.")


class PresetConfig(SeededConfig):
    """A flow whose defaults a preset can replace."""

    preset: str = Field("quick", description="Name of a preset in deployments/presets/, or the path of a YAML file.")

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given, without what defaults, and the preset, filled in."""
        return self._given

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in_preset(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(given, dict):
            return validate(given)
        preset = load_preset(str(given.get("preset", cls.model_fields["preset"].default)), PipelineConfig.model_fields)
        known = {key: value for key, value in preset.items() if key in cls.model_fields}
        filled = validate(merged(known, given))
        filled._given = given  # noqa: SLF001 - its own
        return filled


class RunnerConfig(FlowConfig):
    """A flow whose work can be spread."""

    runner: Literal["thread", "process", "dask"] = Field(
        "thread",
        description="Models in threads or in own processes; or models, shards and long files on the workers of a Dask "
        "scheduler.",
    )
    dask_address: str | None = Field(
        None, description="Scheduler of --runner dask, such as tcp://127.0.0.1:8786; see deployments/SCALING.md."
    )
    workers: PositiveInt | None = Field(
        None, description="Models, shards or processes for long files at a time; none: one a core."
    )

    @model_validator(mode="after")
    def _dask_is_all_there(self) -> Self:
        if (self.runner == "dask") != (self.dask_address is not None):
            raise ValueError("--runner dask and --dask-address go together")
        if self.dask_address is not None and self.workers is not None:
            raise ValueError("--workers is not for --runner dask: start as many `dask worker` as there shall be")
        return self


class AcquireConfig(SeededConfig):
    """Get the raw listings into data/raw."""

    source: str = Field(
        "sample",
        description="sample, kaggle, or the path or s3:// address of a folder or zip file with per-genre CSVs.",
    )
    sample: SampleConfig = Field(SampleConfig(), description="The embedded sample, where it is the source.")
    download: DownloadConfig = Field(DownloadConfig(), description="Downloads from Kaggle and Google Drive.")
    drive: tuple[DriveFile, ...] = Field(
        (), description="Files of the earlier system to fetch as well: crawl_data, clean_data, conllu_data, genres."
    )
    crawl: CrawlConfig = Field(CrawlConfig(), description="Plots that the listings lack; see docs/crawling.md.")


class AcquireFlowConfig(AcquireConfig):
    """Get the raw listings into data/raw, and the plots that they lack into data/crawl."""

    plan: bool = Field(False, description="Only say what a crawl would ask of whom and for how long; fetch nothing.")


class PrepareConfig(PresetConfig, RunnerConfig):
    """Clean, annotate and split what is in data/raw."""

    source: str | None = Field(
        None, description="Acquire from here first (as in flows/acquire.py); none: what is in data/raw."
    )
    sample: SampleConfig = Field(SampleConfig(), description="The embedded sample, where it is the source.")
    download: DownloadConfig = Field(DownloadConfig(), description="Downloads from Kaggle and Google Drive.")
    drive: tuple[DriveFile, ...] = Field(
        (), description="Files of the earlier system to fetch as well: crawl_data, clean_data, conllu_data, genres."
    )
    crawl: CrawlConfig = Field(CrawlConfig(), description="Plots that the listings lack; see docs/crawling.md.")
    start_from: Literal["listings", "clean_data", "conllu_data"] = Field(
        "listings", description="Begin with the listings, or with what the earlier system had cleaned or tokenised."
    )
    table: TableConfig | None = Field(
        None, description="What the columns are of a table of your own, which source names; see docs/own-data.md."
    )
    clean: CleanConfig = Field(CleanConfig(), description="Cleaning.")
    annotate: AnnotateConfig = Field(AnnotateConfig(), description="Tokens, lemmas and CoNLL-U.")
    split: SplitConfig = Field(SplitConfig(), description="Train, validation and test.")
    skip: tuple[Literal["annotate"], ...] = Field(
        (), description="Stages to leave out: annotate (models on lemmas need it)."
    )

    @model_validator(mode="after")
    def _crawl_is_for_listings(self) -> Self:
        if self.start_from != "listings" and self.crawl.online:
            raise ConfigError(
                f"crawl.online completes listings, and start_from {self.start_from} reads none: leave out one of them"
            )
        return self

    @model_validator(mode="after")
    def _table_is_a_file(self) -> Self:
        if self.table is None:
            return self
        if Path(self.source or "").suffix.lower() not in TABLE_FILES:
            raise ConfigError(
                f"table says what the columns of a file are, and source is {self.source or 'not given'}: give --source "
                "FILE.csv or FILE.parquet"
            )
        if in_storage(self.source or ""):
            raise ConfigError(f"a table of your own is read from a path: copy {self.source} to this machine first")
        if self.start_from != "listings" or self.drive or self.crawl.online:
            raise ConfigError("start_from, drive and crawl.online complete listings; a table of your own has no use")
        return self


class PicturesConfig(FlowConfig):
    """A flow that draws."""

    pictures: Literal["shown", "all"] = Field(
        "shown",
        description="shown: what the pages show, as SVG; all: also each model's own pictures and, in the full "
        "pipeline, the pages about the data; as SVG and PNG.",
    )

    @property
    def draws_all(self) -> bool:
        """Whether pictures that no page of the run shows are drawn too."""
        return self.pictures == "all"

    @property
    def forms(self) -> tuple[Literal["svg", "png"], ...]:
        """The forms of pictures."""
        return ("svg", "png") if self.draws_all else ("svg",)


class ExploreFlowConfig(PicturesConfig):
    """Draw and tabulate the raw and the clean data."""

    explore: ExploreConfig = Field(ExploreConfig(), description="What to draw.")


class ModelsConfig(PresetConfig, RunnerConfig):
    """A flow that fits chosen models on the prepared data."""

    models: tuple[str, ...] = Field((), description="Names or globs of models; empty: the preset's.")
    model_params: dict[str, dict[str, Any]] = Field(
        {}, description='Parameters to replace, by model: {"logreg-tfidf": {"C": 2}}.'
    )
    own_models: tuple[AnyModel, ...] = Field((), description="Further models to choose from; see docs/models.md.")
    genres: tuple[str, ...] = Field((), description="Genres to tell, such as Horror; empty: all.")
    without_genres: tuple[str, ...] = Field((), description="Genres not to tell, such as Drama.")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="How each model's decision rule is chosen.")
    experiment: str = Field("genreflow", min_length=1, description="Name of the MLflow experiment.")

    @model_validator(mode="after")
    def _models_exist(self) -> Self:
        # Report a typo, or a package that is not installed, before any work is done.
        check_installed(choose_models(self.models, self.model_params, self.own_models))
        return self


class TrainConfig(ModelsConfig):
    """Train, score and log the chosen models on the prepared data."""

    train_on: Literal["train", "development"] = Field(
        "train", description="The whole train part, or its stratified tenth for quick experiments."
    )
    budget_minutes: PositiveFloat | None = Field(
        None, description="Time for all fine-tuning together; what fits in it is trained. None: what the models say."
    )


class CrossValidateConfig(ModelsConfig):
    """Fit the chosen models without each fifth of all movies in turn, and score that fifth."""

    @model_validator(mode="after")
    def _models_can_be_cross_validated(self) -> Self:
        chosen = choose_models(self.models, self.model_params, self.own_models)
        if tuned := [model.name for model in chosen if isinstance(model, TransformerSpec)]:
            raise ConfigError(f"{', '.join(tuned)}: fine-tuned models are judged on validation and test only")
        return self


class SearchConfig(SeededConfig):
    """Look for better parameters of one model, judged on validation; trial after trial, one at a time."""

    model: str = Field(description="Name of the model.")
    model_params: dict[str, dict[str, Any]] = Field(
        {}, description='Parameters to start from, by model: {"logreg-tfidf": {"C": 2}}.'
    )
    own_models: tuple[AnyModel, ...] = Field((), description="Further models to choose from; see docs/models.md.")
    vary: tuple[str, ...] = Field((), description="Parameters to vary, such as C; empty: all that a search knows.")
    trials: PositiveInt | None = Field(None, description="Trials in all, those of earlier calls among them.")
    budget_minutes: PositiveFloat = Field(10, description="Begin no trial after that time of this call.")
    metric: ChoiceMetric = Field("jaccard", description="What the best has the best of, on validation.")
    rule: RuleName | None = Field(None, description="Decision rule of all trials; none: one that suits the metric.")
    train_on: Literal["train", "development"] = Field(
        "train", description="The whole train part, or its stratified tenth for quick experiments."
    )
    genres: tuple[str, ...] = Field((), description="Genres to tell, such as Horror; empty: all.")
    without_genres: tuple[str, ...] = Field((), description="Genres not to tell, such as Drama.")
    experiment: str = Field("genreflow", min_length=1, description="Name of the MLflow experiment.")

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        check_installed([self.chosen_model])
        space_of(self.chosen_model, self.vary)  # report a typo before any work is done
        return self

    @property
    def chosen_model(self) -> ModelSpec:
        """The model to start from."""
        return _single_model(self, "a search is", "tried many times")

    @property
    def rule_for_metric(self) -> str:
        """The decision rule of all trials."""
        return self.rule or RULES.get(self.metric, "expected-jaccard")


class AuditConfig(SeededConfig):
    """Find the train movies whose genres a model doubts most, and measure what it does to drop them."""

    model: str = Field(description="Name of the model.")
    model_params: dict[str, dict[str, Any]] = Field(
        {}, description='Parameters to replace, by model: {"logreg-tfidf": {"C": 2}}.'
    )
    own_models: tuple[AnyModel, ...] = Field((), description="Further models to choose from; see docs/models.md.")
    share: float | None = Field(
        0.05, gt=0, lt=1, description="Share of the train movies to drop, the most doubted first; none: all doubted."
    )
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="How each model's decision rule is chosen.")
    experiment: str = Field("genreflow", min_length=1, description="Name of the MLflow experiment.")

    @model_validator(mode="after")
    def _can_be_fitted_many_times(self) -> Self:
        check_installed([self.chosen_model])  # report a typo before any work is done
        require(["audit"], "an audit of labels")
        return self

    @property
    def chosen_model(self) -> ModelSpec:
        """The model whose doubts count."""
        return _single_model(self, "an audit is", "fitted eight times")


class ChampionConfig(PicturesConfig):
    """What is compared closely, and when the best becomes the champion."""

    pair: tuple[str, ...] = Field(
        (), description="Two models to set side by side; empty: the best, and the best of another kind."
    )
    promotion: PromotionConfig = Field(PromotionConfig(), description="When the best model becomes the champion.")
    report: bool = Field(True, description="Explain the best models, and write results/report.html.")

    @model_validator(mode="after")
    def _pair_is_two(self) -> Self:
        if self.pair and len(set(self.pair)) != 2:
            raise ValueError(f"--pair takes the names of two models, as in --pair svm-fields,blend, not {self.pair}")
        return self


class PipelineConfig(TrainConfig, PrepareConfig, AcquireConfig, ExploreFlowConfig, ChampionConfig):
    """Everything: acquire, clean, annotate, split, explore, train, evaluate, compare, promote."""

    source: str = Field(
        "sample",
        description="sample, kaggle, a folder or zip file of per-genre CSVs, by its path or as s3://bucket/..., or the "
        "path of a CSV or parquet file that table maps.",
    )

    @model_validator(mode="after")
    def _models_have_fields_to_read(self) -> Self:
        if self.table is None or self.table.fields:
            return self
        chosen = choose_models(self.models, self.model_params, self.own_models)
        if reading := [model.name for model in chosen if isinstance(model, ModelSpec) and model.reads_fields]:
            raise ConfigError(
                f"{', '.join(reading)}: models on fields, and the table has none. Name columns as table.fields, or "
                "leave them out of --models"
            )
        return self


class CompareConfig(ChampionConfig):
    """Rank the models of the last run, or of any MLflow runs, by their validation scores; promote the best."""

    runs: tuple[str, ...] = Field(
        (), description="MLflow ids of runs of models, or of pipelines for all of their models; empty: the last run."
    )
    experiment: str | None = Field(None, description="Compare the models of this MLflow experiment.")
    filter: str | None = Field(
        None,
        description='Of an experiment (none: genreflow) only these runs: \'tags."genreflow.preset" = "full"\'.',
    )
    rollback: bool = Field(False, description="Compare nothing; return the champion's place to the one before it.")

    @model_validator(mode="after")
    def _one_choice_of_runs(self) -> Self:
        if self.runs and (self.experiment or self.filter):
            raise ValueError("give either --runs, or --experiment and --filter")
        if self.rollback and (self.chooses_runs or self.pair):
            raise ValueError("--rollback compares nothing; give it alone")
        return self

    @property
    def chooses_runs(self) -> bool:
        """Whether other runs than the last pipeline's are to be compared."""
        return bool(self.runs or self.experiment or self.filter)

    @property
    def promotes(self) -> bool:
        """Whether the best model challenges the champion."""
        return not self.chooses_runs if self.promotion.enabled is None else self.promotion.enabled


class PredictConfig(RunnerConfig):
    """Say the genres of new descriptions."""

    text: str | None = Field(None, description="A description to classify.")
    title: str | None = Field(None, description="Its title.")
    input: str | None = Field(
        None,
        description="CSV or parquet file with movie_id, description and optionally movie_name and fields, or a folder "
        "of them, of which what is new is predicted; a path or s3://bucket/...",
    )
    output: str | None = Field(
        None, description="CSV or parquet file, or folder, to write: movie_id, genres and one score a genre."
    )
    model: str = Field("champion", description="champion, or an MLflow model address such as models:/name/1.")
    rule: str | None = Field(
        None,
        description="A stored decision rule (per-genre, expected-jaccard, ...), threshold=0.3, top=2, or thresholds of "
        "genres, Drama=0.6,Horror=0.3; none: the one stored as the model's best.",
    )
    precision: Precision = Field(
        "float32", description="Of fine-tuned encoders; int8 is several times as fast and differs a little."
    )
    explain: bool = Field(False, description="Say which words speak for the genres; as a page, and of --text here too.")
    explain_rows: PositiveInt = Field(20, description="How many rows of --input to explain, from the first one on.")
    explained: Path | None = Field(
        None, description="HTML page to write; none: data/results/explained.html, or beside --output."
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
            raise ValueError("--explained takes a path; left out, the page is beside --output, also at s3://")
        if self.explain and self.reads_folder:
            raise ValueError("--explain explains --text or the first rows of a file, not a folder")
        return self

    @property
    def reads_folder(self) -> bool:
        """Whether the input is a folder of files."""
        return self.input is not None and is_directory(self.input)


class TidyConfig(FlowConfig):
    """Remove old runs, logs and caches; never a registered model, the runs it comes from, or the last run."""

    keep_runs: int = Field(20, ge=0, description="The newest pipeline runs, and as many logs, stay.")
    experiment: str = Field("genreflow", min_length=1, description="Name of the MLflow experiment.")
    caches: bool = Field(False, description="Also the movies' representations, which the next training makes again.")
    purge: bool = Field(
        False, description="Empty MLflow's trash as well: all that was ever deleted in the store goes for good."
    )
    plan: bool = Field(False, description="Only say what would go.")


def with_leading(config_type: type[Config], config: Config | None, **leading: Any) -> Config:
    """Return a flow's configuration with the options that the flow has as arguments of their own.

    Raises:
        ConfigError: an option is given in both, with different values.
    """
    given = {name: value for name, value in leading.items() if value not in (None, "", (), [])}
    if config is None:
        return config_type.model_validate(given)
    for name, value in given.items():
        within = config.given.get(name, value)
        if within != value and tuple(within) != tuple(value):
            raise ConfigError(f"{name} is {value} and, in config, {within}: give it once")
    return config_type.model_validate({**config.given, **given}) if given else config


def part(config: FlowConfig, config_type: type[Config]) -> Config:
    """Return the fields of a larger configuration that a smaller one has."""
    return config_type.model_validate({name: getattr(config, name) for name in config_type.model_fields})


def _single_model(config: SearchConfig | AuditConfig, what: str, how: str) -> ModelSpec:
    """Return the one model that a flow is about.

    Raises:
        ConfigError: there is no such model, it is fine-tuned, or it is an ensemble.
    """
    chosen = choose_models((config.model,), config.model_params, config.own_models)
    if isinstance(chosen[0], TransformerSpec):
        raise ConfigError(f"{config.model} is fine-tuned, which takes too long to be {how}")
    if len(chosen) > 1 or not isinstance(chosen[0], ModelSpec):
        names = ", ".join(model.name for model in chosen if isinstance(model, ModelSpec))
        raise ConfigError(f"{what} of one model, and {config.model} is several; name one of {names}")
    return chosen[0]
