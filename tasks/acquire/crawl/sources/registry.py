"""All sources by name: a new one is a module beside this one and a line here."""

from typing import Final

from tasks.acquire.crawl.sources.imdb_graphql import ImdbGraphqlSource
from tasks.acquire.crawl.sources.imdbapi_dev import ImdbapiDevSource
from tasks.acquire.crawl.sources.omdb import OmdbSource
from tasks.acquire.crawl.sources.published import PublishedSource
from tasks.acquire.crawl.sources.source import PlotSource

SOURCES: Final[dict[str, type[PlotSource]]] = {
    source.name: source for source in (PublishedSource, OmdbSource, ImdbGraphqlSource, ImdbapiDevSource)
}
