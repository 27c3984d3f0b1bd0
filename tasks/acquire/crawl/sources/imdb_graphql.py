"""IMDb's GraphQL schema, up to 250 titles a request. Owns the query and its answers.

IMDb's conditions of use forbid robots without written consent, and the public address refuses others than IMDb's own
pages. So this source is off unless the user states to have that consent or a licence, and brings own access.

Source: https://www.imdb.com/conditions and https://developer.imdb.com/documentation (licensed access).
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final

from tasks.acquire.crawl.answers import Answer, judge_plots
from tasks.acquire.crawl.body import dig
from tasks.acquire.crawl.client import ApiClient, Conduct
from tasks.acquire.crawl.faults import BlockedError, GarbledError, RejectedError, ThrottledError, TransientError
from tasks.acquire.crawl.secret_transport import Secrets
from tasks.acquire.crawl.sources.source import Means, PlotSource
from tasks.errors import ConfigError
from tasks.schema import MovieId

ADDRESS: Final = "https://api.graphql.imdb.com/"
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
        address = means.config.base_urls.get(self.name, ADDRESS)
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
        return await self.api.ask(self.api.request("POST", "", json=query), partial(_read, ids))

    async def close(self) -> None:
        """Close all connections."""
        await self.api.close()


def _read(ids: Sequence[MovieId], told: dict[str, Any]) -> dict[MovieId, Answer]:
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
