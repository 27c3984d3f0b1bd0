"""An earlier crawl that somebody published as `crawl_data.csv`. Owns reading that file; downloads nothing."""

from collections.abc import Sequence
from typing import ClassVar

from tasks.acquire.crawl.answers import Answer, judge_plots
from tasks.acquire.crawl.client import Conduct
from tasks.acquire.crawl.missing import read_descriptions
from tasks.acquire.crawl.sources.source import Means, PlotSource
from tasks.schema import MovieId


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
