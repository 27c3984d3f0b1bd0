from pathlib import Path

from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.crawl import plan_crawl
from tasks.acquire.crawl.journal import Answer, open_journal
from tasks.core.settings import settings

ALL = ("published", "omdb", "imdb_graphql", "imdbapi_dev")
IDS = tuple(f"tt{number:07}" for number in range(1, 1001))


def plan(campaign, *sources, **choices):
    return plan_crawl(campaign.paths, campaign.config(*sources, **choices), campaign.clock)


def files(campaign):
    found = filter(Path.is_file, campaign.paths.root.rglob("*"))
    return {path.name: path.read_bytes() for path in found if not path.name.endswith("-shm")}  # SQLite's


def test_a_plan_says_how_many_from_whom_and_how_long(campaign):
    campaign.lack(*IDS, truncated=("tt0009999",), whole=("tt0008888",))
    campaign.paths.published_crawl_csv.parent.mkdir(parents=True)
    campaign.paths.published_crawl_csv.write_text(
        "movie_id,description\n" + "".join(f"{name},A plot.\n" for name in IDS[:100]), encoding="utf-8"
    )
    planned = plan(campaign, *ALL, rate_hz=2, daily_requests={"omdb": 300})
    assert planned.splitlines() == [
        "1,001 of 1,002 movies lack a whole plot: 1,000 have none, 1 a truncated one",
        "  published: has 100 of 1,001, on this disk",
        "  omdb: at most 901 ids in 901 requests, 8 min, over 4 days because of its quota",
        "  imdb_graphql: at most 901 ids in 4 requests, 2 s",
        "  imdbapi_dev: at most 901 ids in 181 requests, 2 min",
    ]
    assert campaign.server.requests == []


def test_a_plan_counts_what_is_settled_and_writes_nothing(campaign):
    campaign.lack(*IDS)
    now = campaign.clock.now()
    with open_journal(campaign.paths.crawl_journal) as journal:
        journal.record("omdb", {name: Answer("ok", "A plot.") for name in IDS[:400]}, now)
        journal.record("omdb", {name: Answer("not_found") for name in IDS[400:700]}, now)
        journal.record("omdb", {name: Answer("failed") for name in IDS[700:800]}, now)
        journal.pause("omdb", now + 7200, "it answers 429")
    before = files(campaign) | {"journal.sqlite-wal": b""}  # all was written to the database when it was closed
    planned = plan(campaign, "omdb", "imdbapi_dev")
    assert "omdb: at most 300 ids in 300 requests" in planned
    assert "imdbapi_dev: at most 600 ids in 120 requests" in planned
    assert "it answers 429; it is left alone for 2 h 0 min more" in planned
    assert files(campaign) == before


def test_a_plan_shows_obstacles_instead_of_failing(campaign, monkeypatch):
    monkeypatch.delenv("GENREFLOW_OMDB_API_KEY")
    monkeypatch.delenv("GENREFLOW_CONTACT")
    settings.cache_clear()
    campaign.lack(*IDS)
    text = plan_crawl(campaign.paths, CrawlConfig(sources=ALL), campaign.clock)
    assert text.count("cannot be used now") == 4
    assert "GENREFLOW_OMDB_API_KEY" in text
    assert "GENREFLOW_CONTACT" in text
    assert "written consent" in text
    assert "only with crawl.online" in text
    assert not campaign.paths.crawl_csv.parent.exists()


def test_nothing_missing(campaign):
    campaign.lack(whole=IDS[:3])
    assert "omdb: nothing to ask" in plan(campaign, "omdb")
    assert campaign.run("omdb").outcome == "done"
    assert campaign.plots() == {}
