"""This machine's settings, and every path under the data folder."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.core.errors import ConfigError

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Settings of this machine, read from `GENREFLOW_<FIELD>` unless a field has another name."""

    model_config = SettingsConfigDict(env_prefix="GENREFLOW_", frozen=True, extra="ignore", hide_input_in_errors=True)

    data_dir: Path = Field(PROJECT_ROOT / "data", description="Folder of all intermediate files and results.")
    mlruns_dir: Path = Field(
        PROJECT_ROOT / "mlruns", description="Folder of the default MLflow store (database and artifacts)."
    )
    mlflow_tracking_uri: str | None = Field(
        None,
        validation_alias="MLFLOW_TRACKING_URI",
        repr=False,  # it may hold a password
        description="MLflow store to use instead of the default one under `mlruns_dir`.",
    )

    contact: str | None = Field(
        None, description="Your e-mail or web address, for the crawl's User-Agent. Required for a crawl."
    )
    omdb_api_key: SecretStr | None = Field(None, description="Your key for OMDb.")
    imdb_graphql_headers: dict[str, SecretStr] = Field(
        {}, description='Headers that give you access to IMDb\'s GraphQL schema, as JSON: {"x-api-key": "..."}.'
    )

    allowed_hosts: str = Field(
        "", description="Names under which servers may be reached, with commas; addresses and localhost always may."
    )

    notify_url: SecretStr | None = Field(
        None, description="Address to which the Prefect server posts a JSON object when a run fails or crashes."
    )

    @property
    def tracking_uri(self) -> str:
        """The MLflow address, with any password: `MLFLOW_TRACKING_URI`, or a SQLite file under `mlruns_dir`."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.mlruns_dir.resolve() / 'mlflow.db'}"


@cache
def settings() -> Settings:
    """Return the settings, read once per process; `settings.cache_clear()` after changing the environment."""
    return Settings()


@dataclass(frozen=True)
class _Under:
    """A path relative to the `root` of its owner."""

    path: str

    def __get__(self, paths: "DataPaths", _owner: type) -> Path:
        return paths.root / self.path


@dataclass(frozen=True)
class DataPaths:
    """The layout of a data folder. Stages exchange data only through these files."""

    root: Path

    raw = _Under("raw")  # folder of the raw per-genre listings, `<genre>.csv`
    download = _Under("download")  # folder of downloaded files, unchanged
    downloaded_genres = _Under("download/genres.json")  # the earlier system's order of encoded genres; optional

    crawl_csv = _Under("crawl/crawl_data.csv")  # crawled plots: `movie_id`, `description`; optional
    crawl_sources_csv = _Under("crawl/crawl_sources.csv")  # their origin: `movie_id`, `source`, `is_truncated`
    published_crawl_csv = _Under("crawl/published/crawl_data.csv")  # a published crawl, as downloaded; optional
    crawl_journal = _Under("crawl/journal.sqlite")  # what each source answered for each id, over all runs

    clean = _Under("clean")  # folder of the cleaned table in its three forms
    movies = _Under("clean/movies.parquet")  # the cleaned table, one row per movie (`schema.MOVIES`)
    clean_csv = _Under("clean/clean_data.csv")  # the same for other tools; spreadsheets may read some texts as formulas
    genres_json = _Under("clean/genres.json")  # the sorted list of genres in the cleaned table
    dropped = _Under("clean/drop_counts.json")  # counts of what cleaning dropped or changed, by reason

    conllu = _Under("conllu/movies.conllu")  # the annotated corpus in CoNLL-U
    tokens = _Under("conllu/movies.parquet")  # the same as a table (`schema.TOKENS`)
    corpus_csv = _Under("conllu/movies_of_corpus.csv")  # an imported corpus: `movie_id`, `movie_name`, `genre`, ...
    splits = _Under("split/splits.parquet")  # the part of each movie (`schema.SPLITS`)

    features = _Under("features")  # fitted representations and their matrices, one folder each
    genre_profiles = _Under("features/genre_profiles.csv")  # similarity of genres' descriptions
    models = _Under("models")  # fitted models and their scores, one folder each
    cross_validation = _Under("cross_validation")  # out-of-fold scores and their evaluation, one folder per model
    label_audit = _Under("label_audit")  # by model, data folders with some of the movies
    checkpoints = _Under("checkpoints")  # from which unfinished trainings continue
    search = _Under("search")  # by model, `<model>.sqlite` with every trial and `<model>.yaml` with the best

    results = _Under("results")  # what people read: leaderboard, tables, pictures
    compared = _Under("compared")  # results fetched from MLflow for a comparison, one folder per run
    last_run = _Under("results/last_run.json")  # the models that the last training run finished, and its MLflow runs
    explore = _Under("explore")  # pictures and tables about the raw and the clean data
    logs = _Under("logs")  # logs of runs
    folder_id = _Under(".folder_id")  # of the folder itself, whatever its name
    lock = _Under(".lock")  # one pipeline at a time works in a data folder


def data_paths() -> DataPaths:
    """Return the layout of the data folder in `settings()`; a `ConfigError` if polars reads its path as a pattern."""
    root = settings().data_dir.resolve()
    if odd := sorted(set(str(root)).intersection("*?[")):
        raise ConfigError(f"the data folder {root} has a {odd[0]} in its path; set GENREFLOW_DATA_DIR to one without")
    return DataPaths(root)
