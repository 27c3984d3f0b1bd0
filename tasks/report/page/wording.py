"""Numbers and lists as people read them. Owns the wording that all sections share."""

import re
from collections.abc import Sequence
from math import ceil, floor
from typing import Final

UNDEFINED: Final = "undefined"
METRICS: Final = {
    "jaccard": "Jaccard",
    "f1_samples": "F1 (samples)",
    "f1_micro": "F1 (micro)",
    "f1_macro": "F1 (macro)",
    "f1_weighted": "F1 (weighted)",
    "precision_samples": "precision",
    "recall_samples": "recall",
    "hamming_loss": "Hamming loss",
    "exact_match": "exact match",
    "at_least_one": "at least one right",
    "at_least_two": "at least two right",
}


def figure(value: float | None, decimals: int = 3) -> str:
    """Write a number, or say that there is none.

    >>> figure(1234.5, 0), figure(-0.12345), figure(None)
    ('1,234', '−0.123', 'undefined')
    """
    return UNDEFINED if value is None or value != value else with_minus(f"{value:,.{decimals}f}")  # noqa: PLR0124  NaN


def with_minus(text: str) -> str:
    """Return a text whose negative numbers have the minus sign of the pictures; dates and names stay as they are.

    >>> with_minus("svm-2 of 2026-01-02: -0.05 [-0.06, -0.04]")
    'svm-2 of 2026-01-02: −0.05 [−0.06, −0.04]'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text)


def at_most(value: float, decimals: int = 3) -> str:
    """Write a number that nothing exceeds: rounded up.

    >>> at_most(0.0503, 2), at_most(0.05, 2), at_most(0.3, 1)
    ('0.06', '0.05', '0.3')
    """
    scale = 10**decimals
    return figure(ceil(value * scale - 1e-9) / scale, decimals)


def at_least(value: float, decimals: int = 3) -> str:
    """Write a number that nothing falls short of: rounded down.

    >>> at_least(0.0597, 2), at_least(0.29, 2)
    ('0.05', '0.29')
    """
    scale = 10**decimals
    return figure(floor(value * scale + 1e-9) / scale, decimals)


def percent(share: float) -> str:
    """Write a share of one in per cent, and never a share of something as nothing, nor a part as the whole.

    >>> percent(0.931), percent(0.0004), percent(0.0), percent(0.9999)
    ('93 %', 'under 1 %', '0 %', 'over 99 %')
    """
    rounded = round(100 * share)
    if share > 0 and rounded == 0:
        return "under 1 %"
    if share < 1 and rounded == 100:
        return "over 99 %"
    return f"{rounded} %"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "movie"), counted(2300, "movie")
    ('1 movie', '2,300 movies')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write names as a sentence does.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(list("abcdefgh"), 3)
    ('a', 'a, b and c', 'a, b, c and 5 more')
    """
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def metric_title(column: str) -> str:
    """Return a column of the leaderboard as its heading.

    >>> metric_title("test_f1_macro"), metric_title("val_jaccard"), metric_title("peak_memory_mb")
    ('F1 (macro)', 'Jaccard on validation', 'peak memory, MB')
    """
    known = {
        "fit_s": "fit, s",
        "predict_docs_per_s": "movies a second",
        "model_mb": "size, MB",
        "chosen_by": "chosen by",
    }
    if column in known:
        return known[column]
    part, _, metric = column.partition("_")
    if part in {"test", "val"}:
        return METRICS.get(metric, metric.replace("_", " ")) + (" on validation" if part == "val" else "")
    words = column.replace("_", " ")
    for ending, unit in ((" mb", "MB"), (" s", "s")):
        words = f"{words.removesuffix(ending)}, {unit}" if words.endswith(ending) else words
    return words
