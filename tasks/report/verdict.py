"""The decision whether the best model of a run replaces the champion.

The challenger is the best on validation, so the test had no part in choosing it. It replaces the champion if the
interval of the difference, by a paired bootstrap over the champion's own test movies, is above zero, or if this version
cannot load the champion.
"""

from pathlib import Path

import numpy as np

from tasks.core.metrics import LOWER_IS_BETTER, Champion, PromotionConfig, Verdict, interval, resample
from tasks.core.predictions import IncomparableError, read_decisions


def judge_challenger(challenger: Path, champion: Champion | None, config: PromotionConfig) -> Verdict:
    """Return whether the model that is best on validation becomes champion, and the reason in words.

    Raises:
        DataError: a file of the challenger is missing or damaged.
    """
    if champion is not None and champion.is_challenger:
        return Verdict(False, "it is still the best")
    decisions = read_decisions([challenger])
    f1_macro = float(resample(decisions.truth, decisions.decided, resamples=0).metrics["f1_macro"][0, 0])
    if not f1_macro >= config.min_f1_macro:
        return Verdict(
            False,
            f"{challenger.name} has a macro F1 of {f1_macro:.4f} on test, below the floor of {config.min_f1_macro:g} "
            "(--promotion.min-f1-macro)",
        )
    if champion is None:
        return Verdict(True, "there was no champion")
    if champion.challenger_was_rolled_back:
        return Verdict(
            False,
            f"{challenger.name} was champion and was rolled back on {champion.challenger_was_rolled_back}; to allow it "
            "again, delete the tag genreflow.rolled_back_at of that version",
        )
    if champion.folder is None:
        return Verdict(
            True, f"the run or the predictions of {champion.model} are gone from MLflow, so they cannot be compared"
        )
    return _judge_both(challenger, champion, champion.folder, config)


def _judge_both(challenger: Path, champion: Champion, folder: Path, config: PromotionConfig) -> Verdict:
    try:
        decisions = read_decisions([challenger, folder])
    except IncomparableError as error:
        return _judge_other_data(champion, str(error).rpartition("\n  ")[2], config)
    first, second = resample(decisions.truth, decisions.decided).metrics[config.metric]
    found = interval(second - first if config.metric in LOWER_IS_BETTER else first - second, config.level)
    bounds = f"[{found.low:+.4f}, {found.high:+.4f}] at {100 * config.level:g}%"
    difference = f"{config.metric} {found.value:+.4f} {bounds}"
    measured = f"{difference}, on {len(decisions.movie_ids):,} test movies"
    if np.isfinite(found.low) and found.low > 0:
        return Verdict(True, f"{challenger.name} is better than {champion.model}: {measured}", difference)
    is_worse = np.isfinite(found.high) and found.high < 0
    if not champion.is_readable and not is_worse:
        reason = f"{champion.model} was logged by an earlier version, which only MLflow can load, and is replaced"
        return Verdict(True, f"{reason}: {measured}", difference)
    how = "significantly worse" if is_worse else "not significantly better"
    return Verdict(False, f"{challenger.name} is {how} than {champion.model}: {measured}", difference)


def _judge_other_data(champion: Champion, difference: str, config: PromotionConfig) -> Verdict:
    """Judge without a comparison: a champion of the sample is provisional, any other was chosen by someone."""
    reason = f"{champion.model} was tested on other data ({difference})"
    if config.replace_other_data == "always":
        return Verdict(True, f"{reason} and is replaced (--promotion.replace-other-data always)")
    if config.replace_other_data == "sample" and champion.source == "sample":
        return Verdict(True, f"{reason}, the embedded sample, and is replaced")
    return Verdict(False, f"{reason}, so they cannot be compared; to replace it: --promotion.replace-other-data always")
