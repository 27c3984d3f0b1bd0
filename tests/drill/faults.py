"""What goes wrong in a command, and at which moment: told by its own file events, not by a clock, so seeds repeat.

An audit hook sees each file that Python opens to write, renames, makes or removes under the run's folders. A fault
waits for the n-th of these events, or for the first whose path matches, then perhaps some milliseconds longer, so that
it also falls into database transactions and computations between the events.
"""

import os
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

WATCHED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect")


def install(fault: dict[str, Any], root: Path) -> None:
    """Have a fault happen in this process.

    Args:
        fault: `do` is one of the functions below and `to` its argument; `at` is the number of an event, or a pattern
            that its path has to match; `after_s` delays it.
        root: events of files elsewhere do not count.
    """
    watch = _Watch(fault, str(root))
    sys.addaudithook(watch.see)


class _Watch:
    def __init__(self, fault: dict[str, Any], root: str) -> None:
        self.fault, self.root, self.seen, self.is_busy = fault, root, 0, threading.local()

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in WATCHED or getattr(self.is_busy, "now", False):
            return
        path = str(arguments[1] if event == "os.rename" else arguments[0])
        if not path.startswith(self.root) or (event == "open" and not _is_for_writing(arguments)):
            return
        self.is_busy.now = True
        try:
            self._count(path)
        finally:
            self.is_busy.now = False

    def _count(self, path: str) -> None:
        self.seen += 1
        at, do = self.fault["at"], ACTIONS[self.fault["do"]]
        if do is count:
            count(self.fault["to"], self.seen)
        elif self.seen == at if isinstance(at, int) else re.search(at, path):
            self.fault["at"] = -1
            if delay_s := self.fault.get("after_s"):
                threading.Timer(delay_s, do, [self.fault.get("to")]).start()
            else:
                do(self.fault.get("to"))


def _is_for_writing(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def count(file: str, seen: int) -> None:
    """Write how many events there were so far."""
    Path(file).write_text(str(seen), encoding="ascii")


def kill_self(_: None) -> None:
    """End this process and its children as `kill -9` and the out-of-memory killer do."""
    os.killpg(0, signal.SIGKILL)


def interrupt(number: int) -> None:
    """Send this process a signal, as Ctrl-C and a service that stops do."""
    os.kill(os.getpid(), number)


def become_nobody(_: None) -> None:
    """Go on as a user who owns nothing."""
    os.seteuid(65_534)


def fill(folder: str) -> None:
    """Fill the disk of a folder to the last byte."""
    with (Path(folder) / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue


def move_clock(by_s: float) -> None:
    """Have the clock of this process jump."""
    true_time = time.time
    time.time = lambda: true_time() + by_s
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + int(by_s * 1e9)


def limit_memory(megabytes: int) -> None:
    """Let this process, and each of its children, have no more memory of its own."""
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 1_000_000,) * 2)


ACTIONS = {each.__name__: each for each in (count, kill_self, interrupt, become_nobody, fill, move_clock, limit_memory)}
