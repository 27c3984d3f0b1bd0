"""How good scores on validation are under one rule, for whoever tries many models. Reads nothing of the test part."""

from pathlib import Path

import numpy as np

from tasks.errors import ConfigError, DataError
from tasks.evaluate.evaluation import cross_fit
from tasks.evaluate.metrics import evaluate
from tasks.evaluate.parts import read_part
from tasks.paths import DataPaths


def measure_validation(folder: Path, rule: str, metric: str, paths: DataPaths) -> dict[str, float]:
    """Return the metrics of `tasks.evaluate.metrics.evaluate` that are defined, of cross-fitted decisions.

    Args:
        folder: holds `scores_validation.parquet`.
        rule: name of the decision rule.
        metric: one that has to be among them.
        paths: the data folder with the cleaned movies and the split.

    Raises:
        ConfigError: there is no such rule.
        DataError: the scores are not those of the validation movies, or the metric is undefined on them.
    """
    part = read_part(folder, "validation", paths)
    decided = cross_fit(part.scores.scores, part.truth)
    if rule not in decided:
        raise ConfigError(f"no rule is named {rule!r}; there are: {', '.join(decided)}")
    metrics = evaluate(part.truth, decided[rule], part.scores.scores, part.scores.genres)
    defined = {name: value for name, value in metrics.items() if np.isfinite(value)}
    if metric not in defined:
        raise DataError(f"{metric} is undefined on the {len(part.truth)} validation movies; choose another metric")
    return defined
