"""Machine facts and secrets, from the environment. Owns where things are on this machine; knows no experiment."""

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

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

    kaggle_username: str | None = Field(
        None, validation_alias="KAGGLE_USERNAME", description="Kaggle account, for data sets that need one."
    )
    kaggle_key: SecretStr | None = Field(
        None, validation_alias="KAGGLE_KEY", description="API key of the Kaggle account."
    )
    kaggle_config_dir: Path = Field(
        Path("~/.kaggle"),
        validation_alias="KAGGLE_CONFIG_DIR",
        description="Folder of kaggle.json, which is used where the two variables are not set.",
    )
    kaggle_url: str = Field("https://www.kaggle.com", description="Where Kaggle's API is; tests use a local server.")

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
