"""The sources of plots. To add one, write a class, add it to `SOURCES`, and its name to `crawl.sources`."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl import client
from tasks.acquire.crawl.client import Answers, ApiSource, Ids, PlotSource, SecretTransport, SourceContext
from tasks.acquire.crawl.journal import Answer, judge_plots, read_descriptions
from tasks.core.errors import ConfigError
from tasks.core.page import is_invented
from tasks.core.schema import MovieId
from tasks.core.settings import DataPaths, settings

_SLOW_DOWN: Final = ("rate exceeded", "rate limit", "too many requests", "throttl")
_REFUSED: Final = ("unauthor", "not authorized", "forbidden", "access denied", "api key")
_NO_SUCH_TITLE: Final = ("not found", "incorrect imdb id", "conversion from string")
_HEADER: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_CONTACT: Final = re.compile(r"[!-~]+@[!-~]+|https?://[!-~]+")


class PublishedSource(PlotSource):
    """Reads `paths.published_crawl_csv`: columns `movie_id` and `description`, one or more rows per id."""

    name: ClassVar[str] = "published"
    largest_batch: ClassVar[int] = 100_000
    is_local: ClassVar[bool] = True

    @classmethod
    def find_obstacle(cls, context: SourceContext) -> str | None:
        """Return what to do if the file does not exist."""
        file = context.paths.published_crawl_csv
        return None if file.is_file() else f"{file} does not exist; download it, or do without"

    async def fetch(self, ids: Ids) -> Answers:
        """Return the file's answers for the ids."""
        plots: dict[MovieId, list[str]] = {}
        for movie_id, description in read_descriptions(self.context.paths.published_crawl_csv, ids).iter_rows():
            plots.setdefault(movie_id, []).append(description or "")
        return judge_plots(plots, ids)


class OmdbSource(ApiSource):
    """OMDb: one title per request, with a key. `"Plot": "N/A"` is no plot; `"Response": "False"` has the reason.

    Source: https://www.omdbapi.com (parameters); data under CC BY-NC 4.0, 1,000 requests a day with a free key.
    """

    name: ClassVar[str] = "omdb"
    largest_batch: ClassVar[int] = 1
    base_url: ClassVar[str] = "https://www.omdbapi.com/"

    @classmethod
    def find_obstacle(cls, context: SourceContext) -> str | None:
        """Return where to get a key if none is set."""
        hint = "it needs a key, free from https://www.omdbapi.com/apikey.aspx, in GENREFLOW_OMDB_API_KEY"
        return hint if context.settings.omdb_api_key is None else None

    def __init__(self, context: SourceContext) -> None:
        assert context.settings.omdb_api_key is not None, "find_obstacle was not called"
        super().__init__(context, SecretTransport(params={"apikey": context.settings.omdb_api_key}))

    async def fetch(self, ids: Ids) -> Answers:
        """Ask for the full plot of one title."""
        (movie_id,) = ids
        params = {"i": movie_id, "plot": "full", "r": "json"}
        return await self.ask(partial(self._read, movie_id), "GET", "", params=params)

    def _read(self, movie_id: MovieId, content: dict[str, Any]) -> Answers:
        if content.get("Response") == "False":
            error = str(content.get("Error", ""))
            if any(words in error.lower() for words in _NO_SUCH_TITLE):
                return {movie_id: Answer("not_found", detail=error)}
            raise self.explain_refusal(content) or client.TransientError(f"it responded {error[:80]!r}")
        if content.get("imdbID") != movie_id:
            raise client.GarbledError(f"asked for {movie_id}, it responded with {str(content.get('imdbID'))[:20]!r}")
        plot = content.get("Plot")
        return judge_plots({movie_id: [plot] if isinstance(plot, str) else []}, [movie_id])

    def explain_refusal(self, content: dict[str, Any]) -> Exception | None:
        """Return the meaning of a refusal's text: both a bad key and a spent quota have the status 401."""
        error = str(content.get("Error", ""))
        if "limit reached" in error.lower():
            tomorrow = datetime.fromtimestamp(self.context.clock.now(), UTC) + timedelta(days=1)
            midnight = tomorrow.replace(hour=0, minute=0, second=0)
            return client.StopError(f"it responded {error[:80]!r}", midnight.timestamp())
        if "api key" in error.lower():
            return client.BlockedError(f"it responded {error[:80]!r}; check GENREFLOW_OMDB_API_KEY")
        return None


class ImdbGraphqlSource(ApiSource):
    """IMDb's GraphQL schema: 250 titles per request. Responses are matched by id; the outline comes before the plots.

    IMDb's conditions of use forbid robots without written consent, and the public address refuses all but IMDb's own
    pages. So this source is off unless the user confirms that consent or a licence, and brings credentials.

    Source: https://www.imdb.com/conditions and https://developer.imdb.com/documentation (licensed access).
    """

    name: ClassVar[str] = "imdb_graphql"
    largest_batch: ClassVar[int] = 250
    base_url: ClassVar[str] = "https://api.graphql.imdb.com/"
    query: ClassVar[str] = (
        "query Plots($ids: [ID!]!) { titles(ids: $ids) { id plot { plotText { plainText } } "
        "plots(first: 5) { edges { node { plotType plotText { plainText } } } } } }"
    )

    @classmethod
    def find_obstacle(cls, context: SourceContext) -> str | None:
        """Return None; raise ConfigError if the terms are not accepted, or there are no usable headers."""
        if not context.config.accept_imdb_terms:
            raise ConfigError(
                "crawl.sources names imdb_graphql, but IMDb's conditions of use (https://www.imdb.com/conditions) "
                "forbid robots without written consent. With that consent, or a licence, set crawl.accept_imdb_terms; "
                "without, leave the source out."
            )
        headers = context.settings.imdb_graphql_headers
        values = (value.get_secret_value() for value in headers.values())
        if not headers or not all(map(_HEADER.fullmatch, (*headers, *values))):
            raise ConfigError(
                "crawl.sources names imdb_graphql, which requires credentials: set GENREFLOW_IMDB_GRAPHQL_HEADERS "
                'to JSON such as {"x-api-key": "..."}, in printable ASCII, and crawl.base_urls if your address is '
                "different."
            )
        return None

    def __init__(self, context: SourceContext) -> None:
        super().__init__(context, SecretTransport(headers=context.settings.imdb_graphql_headers))

    async def fetch(self, ids: Ids) -> Answers:
        """Ask for the titles in one request."""
        query = {"query": self.query, "operationName": "Plots", "variables": {"ids": list(ids)}}
        return await self.ask(partial(_read_graphql, ids), "POST", "", json=query)


def _read_graphql(ids: Ids, content: dict[str, Any]) -> Answers:
    errors = content.get("errors") or []
    titles = dig(content, "data", "titles")
    if titles is None and errors:
        raise _explain_errors(errors, is_batch=len(ids) > 1)
    if not isinstance(titles, list):
        raise client.GarbledError("the response has neither titles nor errors")
    answers = _judge_titles(titles, ids, _graphql_texts)
    if errors:  # about the missing titles
        failed = Answer("failed", detail=str(_explain_errors(errors, is_batch=False)))
        answers |= {movie_id: failed for movie_id, answer in answers.items() if answer.state == "not_found"}
    return answers


def _graphql_texts(title: object) -> list[object]:
    edges = dig(title, "plots", "edges")
    nodes = [dig(edge, "node") for edge in edges] if isinstance(edges, list) else []
    return [dig(node, "plotText", "plainText") for node in (dig(title, "plot"), *nodes)]


def _explain_errors(errors: object, *, is_batch: bool) -> Exception:
    """Return the meaning of errors. One malformed id rejects a whole batch, so unknown errors may mean that."""
    messages = [str(dig(error, "message")) for error in errors] if isinstance(errors, list) else [str(errors)]
    message = f"it responded {'; '.join(messages)[:120]!r}"
    if any(words in message.lower() for words in _SLOW_DOWN):
        return client.ThrottledError(message)
    if any(words in message.lower() for words in _REFUSED):
        return client.BlockedError(message)
    return client.RejectedError(message) if is_batch or "invalid" in message.lower() else client.TransientError(message)


class ImdbapiDevSource(ApiSource):
    """imdbapi.dev: five titles per request, without a key, one plot per title; unknown titles are left out.

    It is not IMDb's, and does not state the origin of its data: off unless named. Source: https://imdbapi.dev
    """

    name: ClassVar[str] = "imdbapi_dev"
    largest_batch: ClassVar[int] = 5
    base_url: ClassVar[str] = "https://api.imdbapi.dev/"

    async def fetch(self, ids: Ids) -> Answers:
        """Ask for the titles in one request."""

        def read(content: dict[str, Any]) -> Answers:
            titles = content.get("titles") if content else []  # an empty list may be left out
            if not isinstance(titles, list):
                raise client.GarbledError("the response has no list of titles")
            return _judge_titles(titles, ids, lambda title: [dig(title, "plot")])

        return await self.ask(read, "GET", "/titles:batchGet", params={"titleIds": list(ids)})


def _judge_titles(titles: list[object], ids: Ids, texts_of: Callable[[object], list[object]]) -> Answers:
    """Return the answers in some titles; a repeated id gets all its texts."""
    plots: dict[MovieId, list[str]] = {}
    for title in titles:
        if isinstance(movie_id := dig(title, "id"), str):
            plots.setdefault(MovieId(movie_id), []).extend(text for text in texts_of(title) if isinstance(text, str))
    return judge_plots(plots, ids)


def dig(value: object, *keys: str) -> Any:
    """Return the value under nested keys, or None where a step is missing or not an object."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


SOURCES: Final[dict[str, type[PlotSource]]] = {
    source.name: source for source in (PublishedSource, OmdbSource, ImdbGraphqlSource, ImdbapiDevSource)
}


def configured_sources(config: CrawlConfig) -> list[type[PlotSource]]:
    """Return the sources that a config names, in its order, each once; ConfigError if one does not exist."""
    for option in ("sources", "daily_requests", "base_urls"):
        if unknown := sorted(set(getattr(config, option)).difference(SOURCES)):
            raise ConfigError(f"crawl.{option}: there is no {', '.join(unknown)}; choose from {', '.join(SOURCES)}")
    return [SOURCES[name] for name in dict.fromkeys(config.sources)]


def check_access(config: CrawlConfig, paths: DataPaths) -> None:
    """Raise ConfigError if a crawl cannot work, as far as that is known before there are listings."""
    for source in configured_sources(config):
        find_obstacle(source, SourceContext(config, settings(), paths), has_listings=False)


def find_obstacle(source: type[PlotSource], context: SourceContext, *, has_listings: bool = True) -> str | None:
    """Return why a source is left out here, or None if it can be used.

    A ConfigError if it is on the network and would be asked without a contact, without what it requires, or for the
    embedded sample's invented ids, which it would answer with the plots of other movies.
    """
    if not source.is_local and not context.config.online:
        return "it is on the network and used only with crawl.online"
    obstacle = source.find_obstacle(context)
    if obstacle is not None or source.is_local:
        return obstacle
    if not _CONTACT.fullmatch(context.settings.contact or ""):
        raise ConfigError(
            "a crawl must name a contact: set GENREFLOW_CONTACT to your e-mail or web address; it is sent with every "
            "request, so that the operators of the source can reach you"
        )
    if has_listings and source.name not in context.config.base_urls and is_invented(context.paths.raw):
        raise ConfigError(
            f"{context.paths.raw} holds the embedded sample with invented ids, and {source.name} would respond with "
            "other movies' plots: acquire real listings, or leave crawl.online out"
        )
    return None
