"""Every file under the data folder, named once. Owns names; reads and writes nothing."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.core.errors import ConfigError

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Where outputs go on this machine. Every field is read from `GENREFLOW_<FIELD>` unless it says otherwise."""

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
        None, description="Your e-mail or web address, which the crawl names in its User-Agent. No contact, no crawl."
    )
    omdb_api_key: SecretStr | None = Field(None, description="Your key for OMDb.")
    imdb_graphql_headers: dict[str, SecretStr] = Field(
        {}, description='Headers that give you access to IMDb\'s GraphQL schema, as JSON: {"x-api-key": "..."}.'
    )

    notify_url: SecretStr | None = Field(
        None, description="Address that the Prefect server posts one JSON object to when a run fails or crashes."
    )

    @property
    def tracking_uri(self) -> str:
        """The MLflow address in force, password and all: `MLFLOW_TRACKING_URI`, or a SQLite file under `mlruns_dir`."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.mlruns_dir.resolve() / 'mlflow.db'}"


@cache
def settings() -> Settings:
    """Return the settings, read once a process. Tests call `settings.cache_clear()` after changing the environment."""
    return Settings()


@dataclass(frozen=True)
class DataPaths:
    """The layout of one data folder. Stages meet in these files and nowhere else."""

    root: Path

    @property
    def raw(self) -> Path:
        """Folder of the raw per-genre listings, `<genre>.csv`."""
        return self.root / "raw"

    @property
    def download(self) -> Path:
        """Folder of downloaded files, as they came."""
        return self.root / "download"

    @property
    def downloaded_genres(self) -> Path:
        """The earlier system's `genres.json`: the order of the genres in its encoded columns. Optional."""
        return self.download / "genres.json"

    @property
    def crawl_csv(self) -> Path:
        """Crawled plots: `movie_id`, `description`. Optional."""
        return self.root / "crawl" / "crawl_data.csv"

    @property
    def crawl_sources_csv(self) -> Path:
        """Which source each crawled plot is from: `movie_id`, `source`, `is_truncated`."""
        return self.root / "crawl" / "crawl_sources.csv"

    @property
    def published_crawl_csv(self) -> Path:
        """An earlier crawl that somebody published, as it was downloaded: `movie_id`, `description`. Optional."""
        return self.root / "crawl" / "published" / "crawl_data.csv"

    @property
    def crawl_journal(self) -> Path:
        """What each source answered for each id: the crawl's memory from run to run."""
        return self.root / "crawl" / "journal.sqlite"

    @property
    def clean(self) -> Path:
        """Folder of the cleaned table in its three forms."""
        return self.root / "clean"

    @property
    def movies(self) -> Path:
        """The cleaned table, one row a movie (`schema.MOVIES`)."""
        return self.clean / "movies.parquet"

    @property
    def clean_csv(self) -> Path:
        """The cleaned table for other tools; texts as they are, so that spreadsheets may take some for formulas."""
        return self.clean / "clean_data.csv"

    @property
    def genres_json(self) -> Path:
        """The sorted list of genres that occur in the cleaned table."""
        return self.clean / "genres.json"

    @property
    def dropped(self) -> Path:
        """Counts of what cleaning dropped or changed, by reason."""
        return self.clean / "drop_counts.json"

    @property
    def conllu(self) -> Path:
        """The annotated corpus in CoNLL-U."""
        return self.root / "conllu" / "movies.conllu"

    @property
    def tokens(self) -> Path:
        """The parquet companion of the corpus (`schema.TOKENS`)."""
        return self.root / "conllu" / "movies.parquet"

    @property
    def corpus_csv(self) -> Path:
        """The movies of an imported corpus: `movie_id`, `movie_name` (empty), `genre`, `description`."""
        return self.root / "conllu" / "movies_of_corpus.csv"

    @property
    def splits(self) -> Path:
        """Which movie is in which part (`schema.SPLITS`)."""
        return self.root / "split" / "splits.parquet"

    @property
    def features(self) -> Path:
        """Folder of fitted representations and their matrices, one folder each."""
        return self.root / "features"

    @property
    def genre_profiles(self) -> Path:
        """How alike every two genres' descriptions are: `genre`, `other`, `tfidf_cosine`, `tfidf_excess_cosine`."""
        return self.features / "genre_profiles.csv"

    @property
    def models(self) -> Path:
        """Folder of fitted models and their scores, one folder each."""
        return self.root / "models"

    @property
    def cross_validation(self) -> Path:
        """Folder of out-of-fold scores and what they tell, one folder a model."""
        return self.root / "cross_validation"

    @property
    def label_audit(self) -> Path:
        """Data folders with some of the movies, by model: what shows the effect of dropping doubted ones from train."""
        return self.root / "label_audit"

    @property
    def checkpoints(self) -> Path:
        """Folder of what trainings that are not finished go on from."""
        return self.root / "checkpoints"

    @property
    def search(self) -> Path:
        """Folder of searches for better parameters: `<model>.sqlite`, every trial, and `<model>.yaml`, the best."""
        return self.root / "search"

    @property
    def results(self) -> Path:
        """Folder of what people read: leaderboard, tables, pictures."""
        return self.root / "results"

    @property
    def compared(self) -> Path:
        """Folder of results that were fetched from MLflow to compare them, one folder a run."""
        return self.root / "compared"

    @property
    def last_run(self) -> Path:
        """Which models the last training run finished, and its MLflow runs."""
        return self.results / "last_run.json"

    @property
    def explore(self) -> Path:
        """Folder of the pictures and tables about the raw and the clean data."""
        return self.root / "explore"

    @property
    def logs(self) -> Path:
        """Folder of run logs."""
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        """Lock file: one pipeline at a time on one data folder."""
        return self.root / ".lock"


def data_paths() -> DataPaths:
    """Return the layout under the data folder that `settings()` names.

    Raises:
        ConfigError: its path has a sign that polars takes for a pattern.
    """
    root = settings().data_dir.resolve()
    if odd := sorted(set(str(root)).intersection("*?[")):
        raise ConfigError(f"the data folder {root} has a {odd[0]} in its path; set GENREFLOW_DATA_DIR to one without")
    return DataPaths(root)
