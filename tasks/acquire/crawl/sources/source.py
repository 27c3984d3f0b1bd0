"""What a source of plots is. Owns the protocol, and what a source is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.answers import Answer
from tasks.acquire.crawl.client import Conduct
from tasks.paths import DataPaths
from tasks.schema import MovieId
from tasks.settings import Settings


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
