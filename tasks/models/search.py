"""A search for better parameters of one model, as a study in a SQLite file.

Each trial is written as it ends. Trials depend only on the seed and on the trials before, so an interrupted search
finds what an uninterrupted one would have found. One trial runs at a time.
"""

import json
import logging
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tasks.core.errors import ConfigError, DataError
from tasks.models.estimators import EstimatorSpec
from tasks.models.registry import with_params
from tasks.models.spec import ModelSpec

logger = logging.getLogger(__name__)

RANGES_FILE: Final = Path(__file__).with_suffix(".yaml")
ENDED: Final = (TrialState.COMPLETE, TrialState.PRUNED)  # pruned: its model could not be fitted
TERMS: Final = "terms"
PARAMS: Final = "params"
FEATURES: Final = "features"

Range = FloatDistribution | IntDistribution | CategoricalDistribution


@cache
def known_ranges() -> Mapping[str, Mapping[str, Range]]:
    """Return the ranges of parameters by kind of estimator."""

    def range_of(written: Any) -> Range:
        if "choices" in written:
            return CategoricalDistribution(written["choices"])
        low, high, *scale = written
        is_real = isinstance(low, float)
        return FloatDistribution(low, high, log=True) if is_real else IntDistribution(low, high, bool(scale))

    kinds = yaml.safe_load(RANGES_FILE.read_text(encoding="utf-8"))
    return {kind: {name: range_of(written) for name, written in ranges.items()} for kind, ranges in kinds.items()}


def space_of(model: ModelSpec, vary: Sequence[str] = ()) -> dict[str, Range]:
    """Return the ranges of a model's parameters by name, as for `model_params`: those in `vary`, or all.

    If several parts of the model have a field of the same name, the kind of the part comes before it.
    A ConfigError if the model has no such parameter, or one with a value outside its range.
    """
    parts = _parts(model)
    space = {}
    for part in parts:
        for field, range_ in known_ranges().get(part.kind, {}).items():
            is_shared = len({each.kind for each in parts if field in each.parameters}) > 1
            if field != "weight" or len(model.representations) > 1:
                space[f"{part.kind}.{field}" if is_shared else field] = range_
    if unknown := sorted(set(vary) - set(space)):
        raise ConfigError(f"a search of {model.name} cannot vary {', '.join(unknown)}; it can: {', '.join(space)}")
    space = {name: range_ for name, range_ in space.items() if not vary or name in vary}
    for name, value in current_values(model, space).items():
        range_ = space[name]
        if isinstance(range_, CategoricalDistribution):
            is_inside = value in range_.choices
        else:
            is_inside = isinstance(value, int | float) and range_.low <= value <= range_.high
        if not is_inside:
            raise ConfigError(
                f"{name} of {model.name} is {value}; a search tries {describe(range_)}: start from there, or leave "
                f"{name} out of --vary"
            )
    return space


def describe(range_: Range) -> str:
    """Return a range as text, such as "0.1 to 30"."""
    if isinstance(range_, CategoricalDistribution):
        return " or ".join(map(str, range_.choices))
    return f"{range_.low:g} to {range_.high:g}"


def current_values(model: ModelSpec, names: Iterable[str]) -> dict[str, Any]:
    """Return a model's values of these parameters."""
    values = {}
    for name in names:
        kind, _, field = name.rpartition(".")
        part = next(part for part in _parts(model) if field in part.parameters and kind in ("", part.kind))
        values[name] = part.make().get_params(deep=False)[field]
    return values


def _parts(model: ModelSpec) -> tuple[EstimatorSpec, ...]:
    return model.classifier, *model.representations


@dataclass(frozen=True)
class Trial:
    """One set of parameters to try."""

    number: int  # 1 has the current parameters
    params: dict[str, Any]  # as `model_params` takes them
    model: ModelSpec


class Search:
    """A study of one model's parameters: `ask` for a trial, run it, `tell` its value, and ask again."""

    def __init__(self, study: optuna.Study, model: ModelSpec, space: Mapping[str, Range], seed: int) -> None:
        self.study, self.model, self.space, self.seed = study, model, space, seed
        self._running: Any = None  # the trial that `ask` returned

    @property
    def n_ended(self) -> int:
        """The number of ended trials, including those with a model that could not be fitted."""
        return len(self._trials(*ENDED))

    @property
    def best_value(self) -> float | None:
        """The value of the best trial so far; None before there is one."""
        return None if self._best is None else self._best.value

    @property
    def best_params(self) -> dict[str, Any]:
        """The parameters of the best trial so far."""
        return {} if self._best is None else dict(self._best.user_attrs[PARAMS])

    @property
    def first_value(self) -> float | None:
        """The value of the model with its current parameters."""
        return next((trial.value for trial in self._trials(*ENDED)), None)

    def ask(self) -> Trial:
        """Return what to try next: first the current parameters, then what the sampler proposes, to four digits.

        Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (TPE).
        """
        ended = self.n_ended
        draw = int(np.random.SeedSequence([self.seed, ended]).generate_state(1)[0])
        self.study.sampler = optuna.samplers.TPESampler(seed=draw)
        current = current_values(self.model, self.space)
        if not ended and not self._trials(TrialState.WAITING):
            self.study.enqueue_trial(current)
        self._running = self.study.ask(dict(self.space))
        params = current
        if ended:
            proposed = self._running.params.items()
            params = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in proposed}
        self._running.set_user_attr(PARAMS, params)
        model = with_params(self.model, params)
        assert isinstance(model, ModelSpec)
        return Trial(ended + 1, params, model)

    def tell(self, value: float | None) -> None:
        """Record the value of the running trial; None if its model could not be fitted."""
        self.study.tell(self._running, value, TrialState.PRUNED if value is None else TrialState.COMPLETE)

    def claim_features(self, folder: Path, names: Sequence[str]) -> None:
        """Record which feature folders the running trial needs, and which of them only this search made."""
        self._running.set_user_attr(FEATURES, list(names))
        own = [name for name in names if not (folder / name).exists()]
        self.study.set_user_attr(FEATURES, sorted({*self.study.user_attrs.get(FEATURES, []), *own}))

    def drop_features(self, folder: Path) -> None:
        """Remove the feature folders that only this search made, except those of the best trial."""
        kept = set() if self._best is None else set(self._best.user_attrs[FEATURES])
        own = set(self.study.user_attrs.get(FEATURES, []))
        for name in own - kept:
            shutil.rmtree(folder / name, ignore_errors=True)
        self.study.set_user_attr(FEATURES, sorted(own & kept))

    @property
    def _best(self) -> FrozenTrial | None:
        """The best trial; the first on ties."""
        sign = -1 if self.study.direction == StudyDirection.MINIMIZE else 1
        return max(self._trials(TrialState.COMPLETE), key=lambda trial: sign * (trial.value or 0), default=None)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)


def open_search(
    file: Path, model: ModelSpec, space: Mapping[str, Range], terms: Mapping[str, Any], minimise: bool = False
) -> Search:
    """Open the search in a file, or create it, to vary the `space` of a model from its current parameters.

    `terms` are all other conditions of the trials, as JSON values, including `seed`. On other terms trials could not be
    compared: a ConfigError. A DataError if the file is damaged.
    """
    if file.exists():
        try:
            with closing(sqlite3.connect(file)) as database:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            said = str(error)
        if said != "ok":
            raise DataError(f"the search in {file} cannot be read ({said}); remove the file to start again")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name=model.name,
        direction="minimize" if minimise else "maximize",
        load_if_exists=True,
    )
    terms = json.loads(json.dumps({**terms, "space": {name: describe(range_) for name, range_ in space.items()}}))
    known = study.user_attrs.get(TERMS)
    if known is None:
        study.set_user_attr(TERMS, terms)
    elif known != terms:
        changed = sorted(name for name in {*known, *terms} if known.get(name) != terms.get(name))
        differences = [_difference(name, known.get(name), terms.get(name)) for name in changed]
        raise ConfigError(
            f"the search in {file} had other settings ({'; '.join(differences)}); use the same, or remove the file to "
            "start again"
        )
    search = Search(study, model, space, int(terms["seed"]))
    interrupted = study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
    for trial in interrupted:
        study.tell(trial.number, state=TrialState.FAIL)  # so that it is run again
    if search.n_ended or interrupted:
        logger.info("%s: %s trials found, %s interrupted", file, search.n_ended, len(interrupted))
    return search


def _difference(name: str, was: Any, now: Any) -> str:
    if isinstance(was, dict) and isinstance(now, dict):
        return f"{name}: {', '.join(sorted(key for key in {*was, *now} if was.get(key) != now.get(key)))}"
    return f"{name}: {was} before, {now} now"
