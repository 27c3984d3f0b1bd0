"""Choices of the acquire stage."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

DriveFile = Literal["crawl_data", "clean_data", "conllu_data", "genres"]


class SampleConfig(BaseModel):
    """How much the embedded sample holds. Its seed is the run's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Ids have seven digits, and the sample uses a third of them at most.
    n_movies: int = Field(6000, ge=1, le=3_000_000, description="Movies in the embedded sample.")


class DownloadConfig(BaseModel):
    """How patient and how trusting a download is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: float = Field(7200, gt=0, description="Seconds that a whole download may take, waits included.")
    connect_timeout_s: float = Field(20, gt=0, description="Seconds to wait for a connection.")
    stall_s: float = Field(60, gt=0, description="Seconds in which a transfer must bring at least 1 KiB.")
    attempts: int = Field(6, ge=1, description="Failures in a row, without progress in between, before giving up.")
    longest_wait_s: float = Field(300, gt=0, description="Longest wait that a server may ask for before giving up.")
    max_bytes: int = Field(4 << 30, ge=1, description="Largest file to accept.")


class CrawlConfig(BaseModel):
    """Where missing plots come from, and how politely they are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(
        ("published", "omdb"),
        description="Sources in the order in which each id tries them: published, omdb, imdb_graphql, imdbapi_dev.",
    )
    online: bool = Field(False, description="Ask sources on the network. Without it only files at hand are used.")
    accept_imdb_terms: bool = Field(
        False, description="You have IMDb's written consent or a licence; imdb_graphql is off without it."
    )
    rate_hz: float = Field(2.0, gt=0, le=1e6, description="Requests a second to a source, at most.")
    workers: int = Field(4, ge=1, le=64, description="Requests under way at the same time, at most.")
    batch_size: int | None = Field(None, ge=1, description="Ids a request; none: as many as the source takes.")
    deadline_s: float = Field(30.0, gt=0, description="Seconds that a whole request may take.")
    retries: int = Field(4, ge=0, le=20, description="How often a request that failed is sent again.")
    longest_pause_s: float = Field(
        300.0, gt=0, description="Pauses that a source asks for are kept up to this length; a longer one ends the run."
    )
    failures_in_a_row: int = Field(5, ge=1, description="Requests given up in a row before the source is left alone.")
    daily_requests: dict[str, PositiveInt] = Field(
        {"omdb": 1000}, description="Requests a day (UTC) to a source, by name; a source not named has no quota."
    )
    negative_days: float = Field(
        30.0, ge=1, description="Days after which an id is asked for again where a source had no whole plot."
    )
    base_urls: dict[str, Annotated[str, Field(pattern=r"^https?://[!-?A-~]+$")]] = Field(
        {}, description="Addresses to use instead of the public ones, by source; without user name and password."
    )
