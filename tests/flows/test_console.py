"""Bars and log lines in a terminal."""

import io
import logging

import pytest
from rich.console import Console

from flows.cli import Terminal
from tasks.core import logs
from tasks.core.logs import Progress


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 100 columns, with bars that watch progress."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(logs, "watchers", [Terminal(console)])
    return console


def test_a_bar_says_what_how_far_and_how_fast_and_is_gone_at_the_end(terminal):
    now_s = 0.0
    work = Progress("annotate", 1000, clock=lambda: now_s)
    now_s = 2.0
    work.advance(500)
    logs.watchers[0].bars.refresh()
    work.finish()
    shown = terminal.file.getvalue()
    assert "annotate" in shown
    assert "50%" in shown
    assert "250/s" in shown
    assert "annotate" not in shown.rsplit("\x1b[2K", 1)[1]  # the bar is erased


def test_bars_of_work_side_by_side_end_when_the_last_does(terminal):
    first, second = Progress("download", 10), Progress("crawl", None)
    first.advance()
    second.advance()
    first.finish()
    length = len(terminal.file.getvalue())
    second.advance()
    second.finish()
    assert len(terminal.file.getvalue()) > length
    (terminal_bars,) = logs.watchers
    assert not terminal_bars.bars.live.is_started


def test_finishing_without_a_bar_shows_nothing(terminal):
    Progress("nothing", 0).finish()
    assert terminal.file.getvalue() == ""


def test_log_lines_are_printed_as_they_are(terminal):
    Terminal(terminal).emit(logging.makeLogRecord({"msg": "[bold]a [/] :smile:"}))
    assert terminal.file.getvalue() == "[bold]a [/] :smile:\n"
