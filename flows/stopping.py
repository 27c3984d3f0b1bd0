"""How a command is stopped: at once where that can be waited for, and in some seconds in any case.

An interrupt unwinds the flow like an error. But Prefect waits for the tasks that run, and starts those that wait, and a
fit cannot be interrupted from outside; so what has to be in order is put in order by a thread, and the process ends.
Owns that; knows no flow.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

logger = logging.getLogger(__name__)

STOP_S: Final = 5.0  # for the flow to unwind
ORDER_S: Final = 10.0  # for what is done at the end
EXIT_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}  # by the shell's custom
MESSAGE: Final = "interrupted; run the same command again to continue"

# What to do before the process ends, the last first. Whoever adds something removes it when it is done otherwise.
at_stop: list[Callable[[], None]] = []


def stop_on_signals() -> None:
    """Have Ctrl-C and SIGTERM stop this process as described above."""
    for number in EXIT_CODES:
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    code = EXIT_CODES[signal.Signals(number)]
    signal.signal(number, lambda *_: os._exit(code))  # a second one does not wait
    timer = threading.Timer(STOP_S, _end, [code])
    timer.daemon = True
    timer.start()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(code)


def _end(code: int) -> None:
    """Put in order what can be, then end the process, whatever its other threads do."""
    ordering = threading.Thread(target=_put_in_order, daemon=True)
    ordering.start()
    ordering.join(ORDER_S)
    for process in multiprocessing.active_children():
        process.kill()
    with contextlib.suppress(OSError):  # nobody may read any more
        sys.stderr.write(f"{MESSAGE}\n")
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(code)


def _put_in_order() -> None:
    for do in reversed(at_stop):
        try:
            do()
        except Exception:
            logger.debug("while stopping", exc_info=True)
