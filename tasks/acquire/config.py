"""Options of the acquire stage."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt

DriveFile = Literal["crawl_data", "clean_data", "conllu_data", "genres"]


class SampleConfig(BaseModel, frozen=True, extra="forbid"):
    """Size of the embedded sample. Its seed is the run's."""

    # Ids have seven digits, and the sample uses a third of them at most.
    n_movies: int = Field(6000, ge=1, le=3_000_000, description="Movies in the embedded sample.")


class DownloadConfig(BaseModel, frozen=True, extra="forbid"):
    """Limits of a download."""

    deadline_s: float = Field(7200, gt=0, description="Seconds for a whole download, including waits.")
    connect_timeout_s: float = Field(20, gt=0, description="Seconds to wait for a connection to Drive.")
    stall_s: float = Field(60, gt=0, description="Seconds without data before an attempt is given up.")
    attempts: int = Field(6, ge=1, description="Attempts before giving up.")
    longest_wait_s: float = Field(300, gt=0, description="Longest wait, in seconds, that a server may request.")
    max_bytes: int = Field(4 << 30, ge=1, description="Largest file to accept, in bytes.")


class CrawlConfig(BaseModel, frozen=True, extra="forbid"):
    """Sources of missing plots, and limits on requests to them."""

    sources: tuple[str, ...] = Field(
        ("published", "omdb"),
        description="Sources, in the order to try them: published, omdb, imdb_graphql, imdbapi_dev.",
    )
    online: bool = Field(False, description="Query sources on the network. Without it only local files are used.")
    accept_imdb_terms: bool = Field(False, description="You have IMDb's written consent; required for imdb_graphql.")
    rate_hz: float = Field(2.0, gt=0, le=1e6, description="Maximum requests per second to a source.")
    workers: int = Field(4, ge=1, le=64, description="Maximum concurrent requests.")
    batch_size: int | None = Field(None, ge=1, description="Ids per request. Default: as many as the source takes.")
    deadline_s: float = Field(30.0, gt=0, description="Seconds for a whole request.")
    retries: int = Field(4, ge=0, le=20, description="Retries of a failed request.")
    longest_pause_s: float = Field(300.0, gt=0, description="Longest pause that a source may request, in seconds.")
    failures_in_a_row: int = Field(5, ge=1, description="Failed requests in a row before the source is skipped.")
    daily_requests: dict[str, PositiveInt] = Field({"omdb": 1000}, description="Requests per day (UTC), by source.")
    negative_days: float = Field(30.0, ge=1, description="Days before a plot that was not there is asked for again.")
    base_urls: dict[str, Annotated[str, Field(pattern=r"^https?://[!-?A-~]+$")]] = Field(
        {}, description="Addresses that replace the public ones, by source; without user name and password."
    )
