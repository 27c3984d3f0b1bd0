import logging

from tasks.core.logs import Progress, log_to


def test_lines_say_how_far_how_fast_and_how_long_still(caplog):
    now_s = 0.0
    progress = Progress("annotate", 1000, clock=lambda: now_s)
    with caplog.at_level(logging.INFO, logger="tasks.core.logs"):
        now_s = 2.0
        progress.advance(100)
        now_s = 10.0
        progress.advance(400)
        progress.advance(500)
        progress.finish()
    assert caplog.messages == [
        "annotate: 500 of 1,000 (50%), 50/s, 10 s left",
        "annotate: 1,000 of 1,000 (100%), 100/s, 10.0 s",
    ]


def test_unknown_total_still_tells_the_rate():
    now_s = 0.0
    progress = Progress("read", None, clock=lambda: now_s)
    now_s = 4.0
    progress.advance(10)
    assert progress.line() == "read: 10, 2/s"


def test_the_log_of_a_thread_keeps_its_own_lines_and_ends(tmp_path):
    logger = logging.getLogger("tasks.something")
    with log_to(tmp_path / "model" / "train.log"):
        logger.warning("inside")
    logger.warning("outside")
    text = (tmp_path / "model" / "train.log").read_text(encoding="utf-8")
    assert "inside" in text
    assert "outside" not in text
