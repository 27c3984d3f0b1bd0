import logging
from pathlib import Path

import pytest

from tasks.core.logs import LogFile


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_is_reported_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile("/dev/full")
    for _ in range(3):
        handler.handle(logging.LogRecord("tasks", logging.INFO, "", 0, "done", None, None))
    handler.close()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "/dev/full can no longer be written: [Errno 28]" in told
