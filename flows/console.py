"""What a command shows in a terminal: log lines, and bars below them while long work goes on.

Owns drawing; knows no stage. Where standard error is no terminal, the timed lines of `tasks.progress` say the same.
"""

import logging
import threading
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from tasks.progress import Progress

COLUMNS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    TaskProgressColumn(),
    TextColumn("{task.fields[rate]}"),
    TimeRemainingColumn(),
)


class TerminalHandler(logging.Handler):
    """Prints log records above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        self.console.print(Text(self.format(record)), soft_wrap=True)


class TerminalBars:
    """A bar for each piece of work that is under way; a watcher of `tasks.progress`."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(*COLUMNS, console=console, transient=True)
        self._shown: dict[Progress, TaskID] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Erase what is shown, as after an error that left work unfinished, and give the cursor back."""
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Move the bar of a piece of work; remove it when the work is finished."""
        with self._lock:
            bar = self._shown.get(progress)
            if progress.is_finished:
                if bar is not None:
                    self._bars.remove_task(self._shown.pop(progress))
                if not self._shown:
                    self._bars.stop()
                return
            if bar is None:
                bar = self._shown[progress] = self._bars.add_task(progress.what, total=progress.total, rate="")
                self._bars.start()
            rate = progress.done / max(progress.clock() - progress.start_s, 1e-9)
            self._bars.update(bar, completed=progress.done, total=progress.total, rate=f"{rate:,.0f}/s")
