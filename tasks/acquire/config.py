"""Options of the acquire stage."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

DriveFile = Literal["crawl_data", "clean_data", "conllu_data", "genres"]


class SampleConfig(BaseModel):
    """Size of the embedded sample. Its seed is the run's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Ids have seven digits, and the sample uses a third of them at most.
    n_movies: int = Field(6000, ge=1, le=3_000_000, description="Movies in the embedded sample.")


class DownloadConfig(BaseModel):
    """Limits of a download."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: float = Field(7200, gt=0, description="Seconds for a whole download, waits included.")
    connect_timeout_s: float = Field(20, gt=0, description="Seconds to wait for a connection to Drive.")
    stall_s: float = Field(60, gt=0, description="Seconds without data before an attempt is given up.")
    attempts: int = Field(6, ge=1, description="Attempts before giving up.")
    longest_wait_s: float = Field(300, gt=0, description="Longest wait, in seconds, that a server may ask for.")
    max_bytes: int = Field(4 << 30, ge=1, description="Largest file to accept, in bytes.")


class CrawlConfig(BaseModel):
    """Sources of missing plots, and limits on requests to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(
        ("published", "omdb"),
        description="Sources in the order in which they are tried: published, omdb, imdb_graphql, imdbapi_dev.",
    )
    online: bool = Field(False, description="Query sources on the network. Without it only local files are used.")
    accept_imdb_terms: bool = Field(
        False, description="You have IMDb's written consent or a licence; required for imdb_graphql."
    )
    rate_hz: float = Field(2.0, gt=0, le=1e6, description="Requests per second to a source, at most.")
    workers: int = Field(4, ge=1, le=64, description="Concurrent requests, at most.")
    batch_size: int | None = Field(None, ge=1, description="Ids per request. Default: as many as the source takes.")
    deadline_s: float = Field(30.0, gt=0, description="Seconds for a whole request.")
    retries: int = Field(4, ge=0, le=20, description="Retries of a failed request.")
    longest_pause_s: float = Field(
        300.0, gt=0, description="Longest pause, in seconds, that a source may ask for; a longer one ends the run."
    )
    failures_in_a_row: int = Field(5, ge=1, description="Failed requests in a row before the source is skipped.")
    daily_requests: dict[str, PositiveInt] = Field(
        {"omdb": 1000}, description="Requests per day (UTC), by source; a source not named has no quota."
    )
    negative_days: float = Field(
        30.0, ge=1, description="Days after which an id for which a source had no full plot is requested again."
    )
    base_urls: dict[str, Annotated[str, Field(pattern=r"^https?://[!-?A-~]+$")]] = Field(
        {}, description="Addresses to use instead of the public ones, by source; without user name and password."
    )
