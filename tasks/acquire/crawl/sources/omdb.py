"""OMDb, one title a request, with a key. Owns its address, parameters and answers.

Source: https://www.omdbapi.com (parameters); data under CC BY-NC 4.0, 1,000 requests a day with a free key.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from tasks.acquire.crawl.answers import Answer, judge_plots
from tasks.acquire.crawl.body import dig
from tasks.acquire.crawl.client import ApiClient, Conduct
from tasks.acquire.crawl.faults import BlockedError, GarbledError, StopError, TransientError
from tasks.acquire.crawl.secret_transport import Secrets
from tasks.acquire.crawl.sources.source import Means, PlotSource
from tasks.schema import MovieId

ADDRESS: Final = "https://www.omdbapi.com/"
_NO_SUCH_TITLE: Final = ("not found", "incorrect imdb id", "conversion from string")


class OmdbSource(PlotSource):
    """Asks for the full plot of one title. `"Plot": "N/A"` is no plot; `"Response": "False"` says why in words."""

    name: ClassVar[str] = "omdb"
    largest_batch: ClassVar[int] = 1

    def __init__(self, means: Means, conduct: Conduct) -> None:
        key = means.settings.omdb_api_key
        assert key is not None, "find_obstacle was not asked"
        address = means.config.base_urls.get(self.name, ADDRESS)
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
