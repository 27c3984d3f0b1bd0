"""Which of the configured sources can be used here and now. Owns that decision; asks none of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.client import (
    ApiClient,
    BlockedError,
    Conduct,
    GarbledError,
    RejectedError,
    Secrets,
    StopError,
    ThrottledError,
    TransientError,
    dig,
)
from tasks.acquire.crawl.journal import Answer, judge_plots
from tasks.acquire.crawl.plots import read_descriptions
from tasks.acquire.listings import STAGE as ACQUIRE_STAGE
from tasks.core.errors import ConfigError, DataError
from tasks.core.schema import MovieId
from tasks.core.settings import DataPaths, Settings, settings
from tasks.stage import recorded_config


@dataclass(frozen=True)
class Means:
    """What a source has to work with: what was chosen, what this machine knows, and where files are."""

    config: CrawlConfig
    settings: Settings
    paths: DataPaths


class PlotSource(Protocol):
    """Something that answers for ids, so many at a time. Sources inherit from it; `registry` lists them."""

    name: ClassVar[str]
    largest_batch: ClassVar[int]
    is_local: ClassVar[bool] = False  # it sends nothing: it needs no consent, pace or quota, and is asked each time

    def __init__(self, means: Means, conduct: Conduct) -> None: ...

    @classmethod
    def find_obstacle(cls, means: Means) -> str | None:  # noqa: ARG003 - for sources that have one
        """Return why the source cannot be used here, and what to do about it; None if it can be.

        Raises:
            ConfigError: the source was chosen on purpose, and something else has to be chosen with it.
        """
        return None

    async def fetch(self, ids: Sequence[MovieId]) -> dict[MovieId, Answer]:
        """Return an answer for each of the ids, `largest_batch` at most.

        Raises:
            GaveUpError: all retries failed.
            GarbledError: the answer makes no sense; smaller batches may tell which id is the reason.
            RejectedError: the source refuses the batch; smaller ones may tell which id is the reason.
            StopError: the source must be left alone for now.
            BlockedError: the source does not want us.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        return


# IMDb's GraphQL schema, up to 250 titles a request. Owns the query and its answers.
#
# IMDb's conditions of use forbid robots without written consent, and the public address refuses others than IMDb's own
# pages. So this source is off unless the user states to have that consent or a licence, and brings own access.
#
# Source: https://www.imdb.com/conditions and https://developer.imdb.com/documentation (licensed access).


IMDB_GRAPHQL_URL: Final = "https://api.graphql.imdb.com/"
QUERY: Final = (
    "query Plots($ids: [ID!]!) { titles(ids: $ids) { id plot { plotText { plainText } } "
    "plots(first: 5) { edges { node { plotType plotText { plainText } } } } } }"
)
_HEADER: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_ASKS_TO_SLOW_DOWN: Final = ("rate exceeded", "rate limit", "too many requests", "throttl")
_REFUSES_US: Final = ("unauthor", "not authorized", "forbidden", "access denied", "api key")


class ImdbGraphqlSource(PlotSource):
    """Asks for the plots of many titles. Answers are matched by id; a title's outline comes first, then its plots."""

    name: ClassVar[str] = "imdb_graphql"
    largest_batch: ClassVar[int] = 250

    def __init__(self, means: Means, conduct: Conduct) -> None:
        address = means.config.base_urls.get(self.name, IMDB_GRAPHQL_URL)
        self.api = ApiClient(address, Secrets(headers=means.settings.imdb_graphql_headers), conduct)

    @classmethod
    def find_obstacle(cls, means: Means) -> str | None:
        """Return nothing, or refuse: whoever names this source has to accept its terms and bring access.

        Raises:
            ConfigError: the terms are not accepted, or there are no headers that can be sent.
        """
        if not means.config.accept_imdb_terms:
            raise ConfigError(
                "crawl.sources names imdb_graphql, but IMDb's conditions of use (https://www.imdb.com/conditions) "
                "forbid robots without written consent. With that consent, or a licence, set crawl.accept_imdb_terms; "
                "without, leave the source out."
            )
        headers = means.settings.imdb_graphql_headers
        values = (value.get_secret_value() for value in headers.values())
        if not headers or not all(_HEADER.fullmatch(text) for text in (*headers, *values)):
            raise ConfigError(
                "crawl.sources names imdb_graphql, which needs access of your own: set GENREFLOW_IMDB_GRAPHQL_HEADERS "
                'to JSON such as {"x-api-key": "..."}, in printable ASCII, and crawl.base_urls if your address is '
                "another."
            )
        return None

    async def fetch(self, ids: Sequence[MovieId]) -> dict[MovieId, Answer]:
        """Ask for the titles in one request."""
        query = {"query": QUERY, "operationName": "Plots", "variables": {"ids": list(ids)}}
        return await self.api.ask(self.api.request("POST", "", json=query), partial(_read_title, ids))

    async def close(self) -> None:
        """Close all connections."""
        await self.api.close()


def _read_title(ids: Sequence[MovieId], told: dict[str, Any]) -> dict[MovieId, Answer]:
    errors = told.get("errors") or []
    titles = dig(told, "data", "titles")
    if titles is None and errors:
        raise _meaning_of(errors, is_batch=len(ids) > 1)
    if not isinstance(titles, list):
        raise GarbledError("the answer has neither titles nor errors")
    plots: dict[MovieId, list[str]] = {}
    for title in titles:
        movie_id = dig(title, "id")
        if isinstance(movie_id, str):  # an id may be repeated, and then has all the texts
            plots.setdefault(MovieId(movie_id), []).extend(_texts(title))
    answers = judge_plots(plots, ids)
    if errors:  # about what is not there
        said = str(_meaning_of(errors, is_batch=False))
        answers |= {movie_id: Answer("failed", detail=said) for movie_id in ids if movie_id not in plots}
    return answers


def _texts(title: object) -> list[str]:
    edges = dig(title, "plots", "edges")
    nodes = [dig(edge, "node") for edge in edges] if isinstance(edges, list) else []
    texts = [dig(part, "plotText", "plainText") for part in (dig(title, "plot"), *nodes)]
    return [text for text in texts if isinstance(text, str)]


def _meaning_of(errors: object, *, is_batch: bool) -> Exception:
    """Return what errors mean. One malformed id rejects a whole batch, and unknown words may say just that."""
    messages = [str(dig(error, "message")) for error in errors] if isinstance(errors, list) else [str(errors)]
    said = f"it answers {'; '.join(messages)[:120]!r}"
    if any(words in said.lower() for words in _ASKS_TO_SLOW_DOWN):
        return ThrottledError(said)
    if any(words in said.lower() for words in _REFUSES_US):
        return BlockedError(said)
    return RejectedError(said) if is_batch or "invalid" in said.lower() else TransientError(said)


# imdbapi.dev, five titles a request, without a key. Owns its address, parameters and answers.
#
# Not IMDb's, and where its data is from it does not say: off unless it is named in `crawl.sources`.
#
# Source: https://imdbapi.dev


IMDBAPI_DEV_URL: Final = "https://api.imdbapi.dev/"


class ImdbapiDevSource(PlotSource):
    """Asks for titles by id, which have at most one plot each; titles that it does not know it leaves out."""

    name: ClassVar[str] = "imdbapi_dev"
    largest_batch: ClassVar[int] = 5

    def __init__(self, means: Means, conduct: Conduct) -> None:
        self.api = ApiClient(means.config.base_urls.get(self.name, IMDBAPI_DEV_URL), Secrets(), conduct)

    async def fetch(self, ids: Sequence[MovieId]) -> dict[MovieId, Answer]:
        """Ask for the titles in one request."""
        request = self.api.request("GET", "/titles:batchGet", params={"titleIds": list(ids)})
        return await self.api.ask(request, partial(_read_imdbapi, ids))

    async def close(self) -> None:
        """Close all connections."""
        await self.api.close()


def _read_imdbapi(ids: Sequence[MovieId], told: dict[str, Any]) -> dict[MovieId, Answer]:
    titles = told.get("titles") if told else []  # a list without elements may be left out
    if not isinstance(titles, list):
        raise GarbledError("the answer has no list of titles")
    plots: dict[MovieId, list[str]] = {}
    for title in titles:
        movie_id, plot = dig(title, "id"), dig(title, "plot")
        if isinstance(movie_id, str):
            plots.setdefault(MovieId(movie_id), []).extend([plot] if isinstance(plot, str) else [])
    return judge_plots(plots, ids)


# OMDb, one title a request, with a key. Owns its address, parameters and answers.
#
# Source: https://www.omdbapi.com (parameters); data under CC BY-NC 4.0, 1,000 requests a day with a free key.


OMDB_URL: Final = "https://www.omdbapi.com/"
_NO_SUCH_TITLE: Final = ("not found", "incorrect imdb id", "conversion from string")


class OmdbSource(PlotSource):
    """Asks for the full plot of one title. `"Plot": "N/A"` is no plot; `"Response": "False"` says why in words."""

    name: ClassVar[str] = "omdb"
    largest_batch: ClassVar[int] = 1

    def __init__(self, means: Means, conduct: Conduct) -> None:
        key = means.settings.omdb_api_key
        assert key is not None, "find_obstacle was not asked"
        address = means.config.base_urls.get(self.name, OMDB_URL)
        now = conduct.clock.now
        self.api = ApiClient(address, Secrets(params={"apikey": key}), conduct, lambda told: _refusal(told, now()))
        self.now = now

    @classmethod
    def find_obstacle(cls, means: Means) -> str | None:
        """Return where to get a key if none is set."""
        if means.settings.omdb_api_key is not None:
            return None
        return "it needs a key, free from https://www.omdbapi.com/apikey.aspx, in GENREFLOW_OMDB_API_KEY"

    async def fetch(self, ids: Sequence[MovieId]) -> dict[MovieId, Answer]:
        """Ask for one title."""
        (movie_id,) = ids
        request = self.api.request("GET", "", params={"i": movie_id, "plot": "full", "r": "json"})
        return await self.api.ask(request, partial(self._read, movie_id))

    async def close(self) -> None:
        """Close all connections."""
        await self.api.close()

    def _read(self, movie_id: MovieId, told: dict[str, Any]) -> dict[MovieId, Answer]:
        if told.get("Response") == "False":
            error = str(told.get("Error", ""))
            if any(words in error.lower() for words in _NO_SUCH_TITLE):
                return {movie_id: Answer("not_found", detail=error)}
            raise _refusal(told, self.now()) or TransientError(f"it answers {error[:80]!r}")
        if told.get("imdbID") != movie_id:
            raise GarbledError(f"asked for {movie_id}, it answers for {str(told.get('imdbID'))[:20]!r}")
        plot = dig(told, "Plot")
        return judge_plots({movie_id: [plot] if isinstance(plot, str) else []}, [movie_id])


def _refusal(told: dict[str, Any], now: float) -> Exception | None:
    """Return what the words of a refusal mean: both a bad key and a spent quota are a 401."""
    error = str(told.get("Error", ""))
    if "limit reached" in error.lower():
        midnight = (datetime.fromtimestamp(now, UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        return StopError(f"it answers {error[:80]!r}", midnight.timestamp())
    if "api key" in error.lower():
        return BlockedError(f"it answers {error[:80]!r}; check GENREFLOW_OMDB_API_KEY")
    return None


class PublishedSource(PlotSource):
    """Looks ids up in `paths.published_crawl_csv`: columns `movie_id` and `description`, an id in one row or more."""

    name: ClassVar[str] = "published"
    largest_batch: ClassVar[int] = 100_000
    is_local: ClassVar[bool] = True

    def __init__(self, means: Means, conduct: Conduct) -> None:  # noqa: ARG002 - nobody to behave towards
        self.file = means.paths.published_crawl_csv

    @classmethod
    def find_obstacle(cls, means: Means) -> str | None:
        """Return what to do where the file is not there."""
        file = means.paths.published_crawl_csv
        return None if file.is_file() else f"there is no {file}; download it, or do without"

    async def fetch(self, ids: Sequence[MovieId]) -> dict[MovieId, Answer]:
        """Return what the file holds of the ids."""
        rows = read_descriptions(self.file, ids)
        plots: dict[MovieId, list[str]] = {}
        for movie_id, description in rows.iter_rows():
            plots.setdefault(movie_id, []).append(description or "")
        return judge_plots(plots, ids)


SOURCES: Final[dict[str, type[PlotSource]]] = {
    source.name: source for source in (PublishedSource, OmdbSource, ImdbGraphqlSource, ImdbapiDevSource)
}


_CONTACT: Final = re.compile(r"[!-~]+@[!-~]+|https?://[!-~]+")


def configured_sources(config: CrawlConfig) -> list[type[PlotSource]]:
    """Return the sources that a config names, in its order, each once.

    Raises:
        ConfigError: one does not exist, nor does one for which it sets a quota or an address.
    """
    for option in ("sources", "daily_requests", "base_urls"):
        if unknown := sorted(set(getattr(config, option)).difference(SOURCES)):
            raise ConfigError(f"crawl.{option}: there is no {', '.join(unknown)}; choose among {', '.join(SOURCES)}")
    return [SOURCES[name] for name in dict.fromkeys(config.sources)]


def check_access(config: CrawlConfig, paths: DataPaths) -> None:
    """Return if no configured source is refused by what is known before there are listings.

    Raises:
        ConfigError: a source does not exist, or would be asked without a contact or what it requires.
    """
    means = Means(config, settings(), paths)
    for source in configured_sources(config):
        _find_obstacle_to_access(source, means)


def find_obstacle(source: type[PlotSource], means: Means) -> str | None:
    """Return why a source is left out here, or None if it can be asked.

    Raises:
        ConfigError: it is on the network and would be asked without a contact, for the invented ids of the embedded
            sample, or without what it requires of whoever names it.
    """
    obstacle = _find_obstacle_to_access(source, means)
    if obstacle is None and not source.is_local:
        _check_ids_are_real(source, means)
    return obstacle


def _find_obstacle_to_access(source: type[PlotSource], means: Means) -> str | None:
    if not source.is_local and not means.config.online:
        return "it is on the network, and asked only with crawl.online"
    obstacle = source.find_obstacle(means)
    if obstacle is None and not source.is_local:
        _check_contact(means)
    return obstacle


def _check_contact(means: Means) -> None:
    if not _CONTACT.fullmatch(means.settings.contact or ""):
        raise ConfigError(
            "a crawl says who it is: set GENREFLOW_CONTACT to your e-mail or web address, which goes out with every "
            "request, so that whoever runs the source can reach you"
        )


def _check_ids_are_real(asked: type[PlotSource], means: Means) -> None:
    """Refuse to ask the public for the sample's ids: they would be answered with the plots of other movies."""
    try:
        source = recorded_config(means.paths.raw, ACQUIRE_STAGE).get("source")
    except DataError:  # the listings are the user's own
        return
    if source == "sample" and asked.name not in means.config.base_urls:
        raise ConfigError(
            f"{means.paths.raw} holds the embedded sample, whose ids are invented, and {asked.name} would answer with "
            "other movies' plots: acquire real listings, or leave crawl.online out"
        )
