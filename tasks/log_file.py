"""Log files that do not get in the way of the work that they tell of. Owns that; knows no run."""

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tasks.redaction import SafeFormatter


class LogFile(logging.FileHandler):
    """A log file. When it can no longer be written it says so once, in a line, and the work goes on without it."""

    is_broken = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's signature
        """Tell once what is wrong, in place of a traceback for every record."""
        if not self.is_broken:
            self.is_broken = True
            sys.stderr.write(f"the log {self.baseFilename} cannot be written any more: {sys.exc_info()[1]}\n")

    def close(self) -> None:
        """Close the file; what cannot be written then was told of."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def log_of_thread(path: Path) -> Iterator[None]:
    """Write what this thread logs in the meantime to a file of its own, where models are trained side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    thread = threading.get_ident()
    handler = LogFile(path, mode="w", encoding="utf-8")
    handler.addFilter(lambda record: record.thread == thread)
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s  %(message)s"))
    ours = logging.getLogger("tasks")
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        handler.close()
