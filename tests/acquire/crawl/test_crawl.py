"""A crawl from beginning to end: the order of sources, resuming, quotas, expiry, interruption."""

import csv
import subprocess
import sys

import pytest

from tasks.acquire.config import SampleConfig
from tasks.acquire.crawl.crawl import run_crawl
from tasks.acquire.crawl.journal import Journal, open_journal
from tasks.acquire.listings import acquire_listings
from tasks.core.errors import BusyError, ConfigError, DataError

A, B, C, D = "tt0000001", "tt0000002", "tt0000003", "tt0000004"


@pytest.fixture
def asked(campaign):
    """Answer by a table of plots, whichever the source; and give the ids asked so far, by source."""
    plots: dict[str, str] = {}

    def answer(request):
        found = {name: plots[name] for name in request.ids if name in plots}
        if "i" in request.query:
            name = request.ids[0]
            told = {"Response": "True", "imdbID": name, "Plot": found.get(name, "N/A")}
            return campaign.server.json(told)
        return campaign.server.json({"titles": [{"id": name, "plot": plot} for name, plot in found.items()]})

    campaign.server.answer = answer
    campaign.server.plots = plots
    return lambda: [
        ("omdb" if "i" in request.query else "imdbapi_dev", *request.ids) for request in campaign.server.requests
    ]


def publish(campaign, **plots):
    campaign.paths.published_crawl_csv.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{name},{text}\n" for name, text in plots.items())
    campaign.paths.published_crawl_csv.write_text(f"movie_id,description\n{rows}", encoding="utf-8")


def test_each_id_tries_the_sources_in_their_order(campaign, asked):
    campaign.lack(A, B, C, D, whole=("tt0000009",))
    publish(campaign, **{A: "From the file."})
    campaign.server.plots |= {B: "From the network.", C: "A mill and ..."}
    result = campaign.run("published", "omdb", "imdbapi_dev")
    assert asked() == [("omdb", B), ("omdb", C), ("omdb", D), ("imdbapi_dev", C, D)]
    assert campaign.plots() == {A: "From the file.", B: "From the network.", C: "A mill and ..."}
    rows = list(csv.reader(campaign.paths.crawl_sources_csv.read_text(encoding="utf-8").splitlines()))
    assert rows[1:] == [[A, "published", "false"], [B, "omdb", "false"], [C, "omdb", "true"]]
    assert result.outcome == "done"
    assert result.stage.counts | {"plots": 3, "omdb/ok": 1, "omdb/truncated": 1, "omdb/no_plot": 1} == (
        result.stage.counts
    )


def test_movies_without_any_text_are_asked_for_first(campaign, asked):
    campaign.lack(B, D, truncated=(A, C))
    campaign.run("omdb")
    assert asked() == [("omdb", B), ("omdb", D), ("omdb", A), ("omdb", C)]


def test_a_truncated_plot_does_not_replace_a_truncated_description(campaign, asked):
    campaign.lack(A, truncated=(B,))
    campaign.server.plots |= {A: "A mill and ...", B: "A mill and ..."}
    campaign.run("omdb")
    assert campaign.plots() == {A: "A mill and ..."}


def test_a_second_run_asks_for_nothing_that_is_settled(campaign, asked):
    campaign.lack(A, B)
    campaign.server.plots |= {A: "A plot."}
    campaign.run("omdb")
    first = campaign.paths.crawl_csv.read_bytes()
    assert campaign.run("omdb").stage.skipped
    assert len(asked()) == 2
    assert campaign.paths.crawl_csv.read_bytes() == first


def test_negative_answers_expire_and_plots_do_not(campaign, asked):
    campaign.lack(A, B)
    campaign.server.plots |= {A: "A plot."}
    campaign.run("omdb", negative_days=30)
    campaign.clock.seconds += 29 * 86_400
    campaign.run("omdb", negative_days=30)
    assert len(asked()) == 2
    campaign.clock.seconds += 2 * 86_400
    campaign.run("omdb", negative_days=30)
    assert asked()[2:] == [("omdb", B)]


def test_the_daily_quota_holds_over_runs_and_ends_at_midnight(campaign, asked):
    campaign.lack(A, B, C, D)
    quota = {"daily_requests": {"omdb": 3}, "workers": 3}
    assert campaign.run("omdb", **quota).outcome == "stopped"
    result = campaign.run("omdb", **quota)
    assert result.outcome == "stopped"
    assert "3 requests of this day" in result.reasons[0]
    assert len(asked()) == 3
    assert len(campaign.states()) == 3  # what was under way when the quota ended was still recorded
    campaign.clock.seconds += 86_400
    assert campaign.run("omdb", **quota).outcome == "done"
    assert len(asked()) == 4


def test_ids_that_one_source_owes_an_answer_do_not_go_on_to_the_next(campaign, asked):
    campaign.lack(A, B)
    result = campaign.run("omdb", "imdbapi_dev", daily_requests={"omdb": 1})
    assert asked() == [("omdb", A), ("imdbapi_dev", A)]
    assert result.outcome == "stopped"


def test_offline_nothing_is_sent_and_nothing_written(campaign):
    campaign.lack(A)
    result = campaign.run("published", "omdb", online=False)
    assert (result.outcome, result.stage.skipped) == ("done", True)
    assert campaign.server.requests == []
    assert not campaign.paths.crawl_csv.parent.exists()


def test_a_file_of_the_user_becomes_the_published_source(campaign):
    campaign.lack(A, B)
    campaign.paths.crawl_csv.parent.mkdir(parents=True)
    campaign.paths.crawl_csv.write_text(f"movie_id,description\n{B},A plot.\n{D},Not missing.\n", encoding="utf-8")
    before = campaign.paths.crawl_csv.read_bytes()
    campaign.run("published", online=False)
    assert campaign.paths.published_crawl_csv.read_bytes() == before
    assert campaign.plots() == {B: "A plot."}
    campaign.run("published", online=False)
    assert campaign.paths.published_crawl_csv.read_bytes() == before


def test_a_file_of_the_user_stays_where_no_source_can_be_used(campaign):
    campaign.lack(A)
    campaign.paths.crawl_csv.parent.mkdir(parents=True)
    campaign.paths.crawl_csv.write_text(f"movie_id,description\n{A},A plot.\n", encoding="utf-8")
    assert campaign.run("omdb", online=False).outcome == "done"
    assert [path.name for path in campaign.paths.crawl_csv.parent.iterdir()] == [campaign.paths.crawl_csv.name]


def test_two_files_of_the_user_are_not_chosen_among(campaign):
    campaign.lack(A)
    publish(campaign, **{A: "One."})
    campaign.paths.crawl_csv.write_text("movie_id,description\n", encoding="utf-8")
    with pytest.raises(DataError, match="would be overwritten"):
        campaign.run("published")


def test_without_its_journal_a_crawl_begins_with_what_it_exported(campaign, asked):
    campaign.lack(A, B)
    campaign.server.plots |= {A: "A plot."}
    campaign.run("omdb")
    for file in campaign.paths.crawl_journal.parent.glob("journal*"):
        file.unlink()
    campaign.run("published", "omdb")
    assert asked() == [("omdb", A), ("omdb", B), ("omdb", B)]
    assert campaign.plots() == {A: "A plot."}


def test_the_public_is_not_asked_for_invented_ids(campaign):
    acquire_listings(campaign.paths, "sample", SampleConfig(n_movies=30), 1)
    with pytest.raises(ConfigError, match="invented ids"):
        campaign.run("omdb", base_urls={})
    campaign.server.answer = lambda _: campaign.server.json({"Response": "False", "Error": "Movie not found!"})
    assert campaign.run("omdb").outcome == "done"  # a server of the user's own may be


def test_a_second_crawl_is_refused_in_any_process(campaign):
    campaign.lack(A)
    probe = (
        "import sys; from pathlib import Path; from tasks.acquire.crawl.journal import Journal, open_journal\n"
        "with open_journal(Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", probe, str(campaign.paths.crawl_journal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(BusyError, match="another crawl"):
            campaign.run("omdb")
        other.kill()  # its lock goes with it
    campaign.server.answer = lambda _: campaign.server.json({"Response": "False", "Error": "Movie not found!"})
    assert campaign.run("omdb").outcome == "done"


def test_a_disk_that_is_full_is_said_and_nothing_answered_is_lost(campaign, asked, monkeypatch):
    campaign.lack(A, B)
    campaign.server.plots |= {A: "A plot.", B: "A long plot. " * 2000}
    record = Journal.record

    def record_in_what_room_there_is(journal, *answers):
        if "ok" in journal.states("omdb", 0, 1).values():
            journal._db.execute("PRAGMA max_page_count = 1")  # as many as there are
        record(journal, *answers)

    monkeypatch.setattr(Journal, "record", record_in_what_room_there_is)
    with pytest.raises(DataError, match=r"journal\.sqlite cannot be used \(database or disk is full\): free disk"):
        campaign.run("omdb")
    monkeypatch.undo()
    assert campaign.states() == {A: "ok"}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, type("TerminationSignal", (BaseException,), {})])
def test_an_interruption_keeps_what_was_answered_and_goes_through(campaign, interruption):
    campaign.lack(A, B)
    campaign.server.script.append(campaign.server.json({"Response": "False", "Error": "Movie not found!"}))
    campaign.server.answer = lambda _: lambda connection: connection.recv(1)  # hangs until it is closed
    progress_seen = []

    def watch(progress):
        progress_seen.append(progress.done)
        if progress.done == 1:
            raise interruption

    with pytest.raises(interruption):
        run_crawl(campaign.paths, campaign.config("omdb", deadline_s=60), watch, campaign.clock)
    assert campaign.states() == {A: "not_found"}
    assert progress_seen
    with open_journal(campaign.paths.crawl_journal):  # nobody holds it any more
        pass
