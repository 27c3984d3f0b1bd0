"""Which of the configured sources can be used here and now. Owns that decision; asks none of them."""

import re
from typing import Final

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.sources.registry import SOURCES
from tasks.acquire.crawl.sources.source import Means, PlotSource
from tasks.acquire.listings import STAGE as ACQUIRE_STAGE
from tasks.errors import ConfigError, DataError
from tasks.paths import DataPaths
from tasks.settings import settings
from tasks.stage import recorded_config

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
