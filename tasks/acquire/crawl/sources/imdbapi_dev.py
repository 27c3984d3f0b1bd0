"""imdbapi.dev, five titles a request, without a key. Owns its address, parameters and answers.

Not IMDb's, and where its data is from it does not say: off unless it is named in `crawl.sources`.

Source: https://imdbapi.dev
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final

from tasks.acquire.crawl.answers import Answer, judge_plots
from tasks.acquire.crawl.body import dig
from tasks.acquire.crawl.client import ApiClient, Conduct
from tasks.acquire.crawl.faults import GarbledError
from tasks.acquire.crawl.secret_transport import Secrets
from tasks.acquire.crawl.sources.source import Means, PlotSource
from tasks.schema import MovieId

ADDRESS: Final = "https://api.imdbapi.dev/"


class ImdbapiDevSource(PlotSource):
    """Asks for titles by id, which have at most one plot each; titles that it does not know it leaves out."""

    name: ClassVar[str] = "imdbapi_dev"
    largest_batch: ClassVar[int] = 5

    def __init__(self, means: Means, conduct: Conduct) -> None:
        self.api = ApiClient(means.config.base_urls.get(self.name, ADDRESS), Secrets(), conduct)

    async def fetch(self, ids: Sequence[MovieId]) -> dict[MovieId, Answer]:
        """Ask for the titles in one request."""
        request = self.api.request("GET", "/titles:batchGet", params={"titleIds": list(ids)})
        return await self.api.ask(request, partial(_read, ids))

    async def close(self) -> None:
        """Close all connections."""
        await self.api.close()


def _read(ids: Sequence[MovieId], told: dict[str, Any]) -> dict[MovieId, Answer]:
    titles = told.get("titles") if told else []  # a list without elements may be left out
    if not isinstance(titles, list):
        raise GarbledError("the answer has no list of titles")
    plots: dict[MovieId, list[str]] = {}
    for title in titles:
        movie_id, plot = dig(title, "id"), dig(title, "plot")
        if isinstance(movie_id, str):
            plots.setdefault(MovieId(movie_id), []).extend([plot] if isinstance(plot, str) else [])
    return judge_plots(plots, ids)
