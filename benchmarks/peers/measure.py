"""CPU time and memory of a fit in this process. Runs in the peers' environment, too: standard library only."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Fitted = TypeVar("Fitted")

STATUS = Path("/proc/self/status")


def measure(fit: Callable[[], Fitted]) -> tuple[Fitted, dict[str, Any]]:
    """Call `fit` and return its result with the CPU seconds of the call and the process's peak until now."""
    start_s = time.process_time()  # user and system time of all threads; imports and data were there before
    fitted = fit()
    cpu_s = time.process_time() - start_s
    return fitted, {"cpu_s": round(cpu_s, 2), "peak_mb": round(peak_mb())}


def peak_mb() -> float:
    """Return the largest resident set of this process so far.

    On Linux `ru_maxrss` starts with the memory of the parent process; `VmHWM` does not.
    """
    if STATUS.exists():
        return next(
            int(line.split()[1]) * 1024 / 1e6 for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
