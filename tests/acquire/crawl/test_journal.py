import sqlite3

import pytest

from tasks.acquire.crawl.journal import Answer, open_journal, read_journal
from tasks.core.errors import BusyError, DataError

NOW = 1_750_000_000.0
DAY = 86_400


@pytest.fixture
def journal(tmp_path):
    with open_journal(tmp_path / "crawl" / "journal.sqlite") as journal:
        yield journal


def test_an_id_has_one_state_a_source(journal):
    journal.record("omdb", {"tt1": Answer("failed"), "tt2": Answer("ok", "A plot.")}, NOW)
    journal.record("omdb", {"tt1": Answer("not_found")}, NOW + 1)
    journal.record("other", {"tt1": Answer("ok", "Another.")}, NOW)
    assert journal.states("omdb", NOW + 1, 30) == {"tt1": "not_found", "tt2": "ok"}


def test_a_batch_is_stored_as_a_whole_or_not_at_all(journal):
    with pytest.raises(sqlite3.IntegrityError):
        journal.record("omdb", {"tt1": Answer("ok", "A plot."), None: Answer("ok", "A plot.")}, NOW)
    assert journal.states("omdb", NOW, 30) == {}


def test_negatives_expire(journal):
    states = ("ok", "truncated", "no_plot", "not_found", "bad_payload", "failed")
    journal.record("omdb", {state: Answer(state) for state in states}, NOW)
    assert set(journal.states("omdb", NOW + 30 * DAY - 1, 30)) == set(states)
    assert set(journal.states("omdb", NOW + 30 * DAY, 30)) == {"ok", "failed"}


def test_plots_come_by_id_and_then_in_the_order_of_sources(journal):
    for source in ("b", "a", "c"):
        journal.record(source, {"tt2": Answer("ok", source), "tt1": Answer("truncated", source)}, NOW)
    journal.record("a", {"tt3": Answer("no_plot")}, NOW)
    plots = [[(plot.movie_id, plot.source) for plot in of_id] for of_id in journal.plots(["b", "a"])]
    assert plots == [[("tt1", "b"), ("tt1", "a")], [("tt2", "b"), ("tt2", "a")]]


def test_requests_are_counted_by_day_and_source(journal):
    for now in (NOW, NOW, NOW + DAY):
        journal.count_request("omdb", now)
    assert [journal.requests_today("omdb", NOW + days * DAY) for days in range(3)] == [2, 1, 0]
    assert journal.requests_today("other", NOW) == 0


def test_pauses_end(journal):
    journal.pause("omdb", NOW + 10, "it asks to")
    assert journal.pause_of("omdb", NOW) == (10, "it asks to")
    assert journal.pause_of("omdb", NOW + 10) == (0, "")
    assert journal.pause_of("other", NOW) == (0, "")


def test_reading_makes_nothing_and_works_beside_a_writer(tmp_path):
    path = tmp_path / "journal.sqlite"
    with read_journal(path) as nothing:
        assert nothing.states("omdb", NOW, 30) == {}
    assert list(tmp_path.iterdir()) == []
    with open_journal(path) as writer:
        writer.record("omdb", {"tt1": Answer("ok", "A plot.")}, NOW)
        with read_journal(path) as reader:
            assert reader.states("omdb", NOW, 30) == {"tt1": "ok"}
        with pytest.raises(BusyError, match=r"journal\.sqlite"), open_journal(path):
            pass


@pytest.mark.parametrize("open_it", [open_journal, read_journal])
def test_a_damaged_journal_is_named(tmp_path, open_it):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 50)
    with pytest.raises(DataError, match=r"journal\.sqlite is damaged"), open_it(path) as journal:
        journal.states("omdb", NOW, 30)


def test_a_journal_of_another_version_is_left_alone(tmp_path):
    path = tmp_path / "journal.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(DataError, match="version 7"), open_journal(path):
        pass
