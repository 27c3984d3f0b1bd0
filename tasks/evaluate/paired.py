"""What changes from one model to another on the same test movies. Owns what is compared and its words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.bootstrap import interval, resample
from tasks.decisions import read_decisions
from tasks.metrics import Floats
from tasks.schema import DEFAULT_SEED

METRICS: Final = ("jaccard", "f1_macro")


@dataclass(frozen=True)
class Change:
    """A metric before and after, and the 95 % interval of after - before."""

    before: float
    after: float
    low: float
    high: float

    @property
    def in_words(self) -> str:
        """What can be said of it.

        >>> Change(0.5, 0.49, -0.015, -0.005).in_words
        'surely worse: 0.5000 to 0.4900, -0.0100 with the 95 % interval -0.0150 to -0.0050'
        """
        if self.low <= 0 <= self.high:
            surely = "neither surely better nor surely worse"
        else:
            surely = "surely better" if self.low > 0 else "surely worse"
        interval = f"{self.after - self.before:+.4f} with the 95 % interval {self.low:+.4f} to {self.high:+.4f}"
        return f"{surely}: {self.before:.4f} to {self.after:.4f}, {interval}"


def measure_changes(before: Path, after: Sequence[Path], seed: int = DEFAULT_SEED) -> list[dict[str, Change]]:
    """Return for each model of `after` how the Jaccard and the macro F1 on test change, by metric.

    Args:
        before: folder of an evaluated model.
        after: of others.
        seed: of the bootstrap's draws (`tasks.bootstrap`).

    Raises:
        DataError: the models were not tested on the same movies.
    """
    decisions = read_decisions([before, *after])
    metrics = resample(decisions.truth, decisions.decided, seed=seed).metrics
    return [{name: _change(*metrics[name][[0, place]]) for name in METRICS} for place in range(1, len(after) + 1)]


def _change(before: Floats, after: Floats) -> Change:
    found = interval(after - before)
    return Change(float(before[0]), float(after[0]), found.low, found.high)
