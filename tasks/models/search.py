"""A search for better parameters of one model. Owns the study: what was tried, what is next and what is best so far.

The study is a SQLite file to which each trial is written as it ends, so that a search goes on wherever it was stopped.
What a trial tries depends only on the seed and on the trials before it: an interrupted search finds what an
uninterrupted one would have found. One trial runs at a time.
"""

import json
import logging
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tasks.core.errors import ConfigError, DataError
from tasks.models.estimators import EstimatorSpec
from tasks.models.select import with_params
from tasks.models.spec import ModelSpec

# Where a search looks for better parameters. Owns the table of ranges; knows nothing of how it is searched.
#
# To let a search vary a parameter, add it under the kind of classifier or representation that has it.


@dataclass(frozen=True)
class Real:
    """A positive number; a factor makes as much difference anywhere in the range (a logarithmic scale)."""

    low: float
    high: float

    def holds(self, value: Any) -> bool:
        """Return whether a value is in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Whole:
    """A whole number, on a linear scale unless `log`."""

    low: int
    high: int
    log: bool = False

    def holds(self, value: Any) -> bool:
        """Return whether a value is in the range."""
        return isinstance(value, int) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


@dataclass(frozen=True)
class OneOf:
    """One of some values that have no order."""

    values: tuple[str | bool, ...]

    def holds(self, value: Any) -> bool:
        """Return whether a value is one of them."""
        return value in self.values

    def __str__(self) -> str:
        return " or ".join(map(str, self.values))


Range = Real | Whole | OneOf

EITHER: Final = OneOf((False, True))

# Left out are what a model's name tells (its input, tf-idf or counts), what only costs time (the number of trees in a
# forest, of chains, of folds), and the weight of a representation that stands alone, since C does the same.
SPACE: Final[Mapping[str, Mapping[str, Range]]] = {
    # classifiers
    "logistic-regression": {"C": Real(0.1, 30)},
    "linear-svm": {"C": Real(0.01, 3)},
    "naive-bayes": {"alpha": Real(0.01, 3), "variant": OneOf(("multinomial", "complement"))},
    "naive-bayes-svm": {"C": Real(0.03, 30), "alpha": Real(0.1, 10)},
    "nearest-neighbours": {"k": Whole(5, 200, log=True)},
    "sklearn.tree.DecisionTreeClassifier": {"max_depth": Whole(5, 80), "min_samples_leaf": Whole(2, 100, log=True)},
    "sklearn.ensemble.RandomForestClassifier": {
        "max_depth": Whole(10, 100),
        "min_samples_leaf": Whole(1, 20, log=True),
    },
    "sklearn.linear_model.RidgeClassifier": {"alpha": Real(0.1, 100)},
    "sklearn.svm.LinearSVC": {"C": Real(0.01, 3)},
    "gradient-boosting": {
        "components": Whole(50, 300),
        "n_trees": Whole(40, 200),
        "learning_rate": Real(0.02, 0.3),
        "max_leaves": Whole(4, 64, log=True),
    },
    "multilayer-perceptron": {
        "hidden": Whole(32, 256, log=True),
        "alpha": Real(1e-5, 1),
        "learning_rate": Real(1e-4, 1e-2),
    },
    "classifier-chains": {"C": Real(0.1, 30)},
    "stacked-logistic-regression": {"C": Real(0.1, 30), "C2": Real(0.001, 10)},
    # representations
    "bag-of-words": {"max_n": Whole(1, 3), "min_movies": Whole(2, 10), "sublinear": EITHER},
    "character-ngrams": {
        "min_n": Whole(2, 4),
        "max_n": Whole(4, 6),
        "min_movies": Whole(2, 20, log=True),
        "weight": Real(0.2, 2),
    },
    "side-fields": {"min_movies": Whole(1, 10), "weight": Real(0.05, 1)},
    "frozen-encoder": {"weight": Real(0.2, 3)},
    "word-vectors": {
        "dimensions": Whole(50, 300),
        "window": Whole(3, 30, log=True),
        "epochs": Whole(5, 40, log=True),
        "min_movies": Whole(2, 10),
        "weight": Real(0.2, 3),
    },
    "pretrained-vectors": {"weight": Real(0.2, 3)},
}


def space_of(model: ModelSpec, vary: Sequence[str] = ()) -> dict[str, Range]:
    """Return the ranges of a model's parameters by name, as `model_params` takes them.

    Where several parts of the model have a field of a name, the kind of the part stands before it.

    Args:
        model: whose parameters.
        vary: names of those to vary; empty: all.

    Raises:
        ConfigError: the model has no such parameter, none at all, or one whose value is outside its range.
    """
    space = {
        _name(model, part.kind, field): range_
        for part in (model.classifier, *model.representations)
        for field, range_ in SPACE.get(part.kind, {}).items()
        if field != "weight" or len(model.representations) > 1
    }
    if strangers := sorted(set(vary) - set(space)):
        raise ConfigError(f"a search of {model.name} cannot vary {', '.join(strangers)}; it can: {', '.join(space)}")
    space = {name: range_ for name, range_ in space.items() if not vary or name in vary}
    for name, value in current_values(model, space).items():
        if not space[name].holds(value):
            raise ConfigError(
                f"{name} of {model.name} is {value}; a search tries {space[name]}: start from there, or leave {name} "
                "out of --vary"
            )
    return space


def current_values(model: ModelSpec, names: Mapping[str, Range] | Sequence[str]) -> dict[str, Any]:
    """Return the values that a model has of the parameters of these names."""
    return {name: next(_values(model, name)) for name in names}


def _values(model: ModelSpec, name: str) -> Iterator[Any]:
    kind, _, field = name.rpartition(".")
    for part in _parts(model):
        if field in part.parameters and kind in ("", part.kind):
            yield part.make().get_params(deep=False)[field]


def _name(model: ModelSpec, kind: str, field: str) -> str:
    kinds = {part.kind for part in _parts(model) if field in part.parameters}
    return field if len(kinds) == 1 else f"{kind}.{field}"


def _parts(model: ModelSpec) -> list[EstimatorSpec]:
    """Return the parts of a model whose parameters a search varies."""
    return [model.classifier, *model.representations]


logger = logging.getLogger(__name__)

ENDED: Final = (TrialState.COMPLETE, TrialState.PRUNED)  # pruned: its model could not be fitted
TERMS: Final = "terms"
PARAMS: Final = "params"
FEATURES: Final = "features"


@dataclass(frozen=True)
class Trial:
    """One set of parameters to try."""

    number: int  # 1 is the model as it is
    params: dict[str, Any]  # as `model_params` takes them
    model: ModelSpec


class Search:
    """A study of one model's parameters. Whoever has one asks for a trial, tells what it gave, and asks again."""

    def __init__(self, study: optuna.Study, model: ModelSpec, space: Mapping[str, Range], seed: int) -> None:
        self.study, self.model, self.space, self.seed = study, model, space, seed
        self._running: optuna.Trial | None = None

    @property
    def n_ended(self) -> int:
        """How many trials have ended, those included whose model could not be fitted."""
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
        """The value of the model as it is."""
        first = self._trials(*ENDED)[:1]
        return first[0].value if first else None

    def ask(self) -> Trial:
        """Return what to try next: first the model as it is, then what the sampler proposes, to four digits.

        Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (TPE).
        """
        ended = self.n_ended
        draw = int(np.random.SeedSequence([self.seed, ended]).generate_state(1)[0])
        self.study.sampler = optuna.samplers.TPESampler(seed=draw)
        current = current_values(self.model, self.space)
        if not ended and not self._trials(TrialState.WAITING):
            self.study.enqueue_trial(current)
        self._running = self.study.ask()
        params = {name: _suggest(self._running, name, range_) for name, range_ in self.space.items()}
        if not ended:
            params = current  # not rounded
        self._running.set_user_attr(PARAMS, params)
        model = with_params(self.model, params)
        assert isinstance(model, ModelSpec)
        return Trial(ended + 1, params, model)

    def tell(self, value: float | None) -> None:
        """Keep what the trial that was asked for gave; None: its model could not be fitted."""
        assert self._running is not None
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        self.study.tell(self._running, value, state)
        self._running = None

    def drop_interrupted(self) -> int:
        """Mark trials that never ended, so that they are asked for anew; return how many there were."""
        left = self._trials(TrialState.RUNNING)
        for trial in left:
            self.study.tell(trial.number, state=TrialState.FAIL)
        return len(left)

    def claim_features(self, folder: Path, names: Sequence[str]) -> None:
        """Note which feature folders the running trial needs, and which of them are made for this search only."""
        assert self._running is not None
        self._running.set_user_attr(FEATURES, list(names))
        own = [name for name in names if not (folder / name).exists()]
        self.study.set_user_attr(FEATURES, sorted({*self.study.user_attrs.get(FEATURES, []), *own}))

    def drop_features(self, folder: Path) -> None:
        """Remove the feature folders that were made for this search, but for those of the best trial."""
        kept = set() if self._best is None else set(self._best.user_attrs[FEATURES])
        own = set(self.study.user_attrs.get(FEATURES, []))
        for name in own - kept:
            shutil.rmtree(folder / name, ignore_errors=True)
        self.study.set_user_attr(FEATURES, sorted(own & kept))

    @property
    def _best(self) -> FrozenTrial | None:
        """Of equals it is the first."""
        sign = -1 if self.study.direction == StudyDirection.MINIMIZE else 1
        return max(self._trials(TrialState.COMPLETE), key=lambda trial: sign * (trial.value or 0), default=None)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)


def open_search(
    file: Path, model: ModelSpec, space: Mapping[str, Range], terms: Mapping[str, Any], minimise: bool = False
) -> Search:
    """Open the search in a file, or begin one.

    Args:
        file: of the study.
        model: the model as it is.
        space: what to vary.
        terms: all that the values of trials depend on, as JSON values, `seed` among it. A search goes on on the same
            terms only, since its trials could not be compared otherwise.
        minimise: whether small values are good.

    Raises:
        ConfigError: the search in the file was on other terms.
        DataError: the file is damaged.
    """
    if file.exists():
        _check_file(file)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name=model.name,
        direction="minimize" if minimise else "maximize",
        load_if_exists=True,
    )
    terms = json.loads(json.dumps({**terms, "space": {name: str(range_) for name, range_ in space.items()}}))
    known = study.user_attrs.get(TERMS)
    if known is None:
        study.set_user_attr(TERMS, terms)
    elif known != terms:
        changed = sorted(name for name in {*known, *terms} if known.get(name) != terms.get(name))
        differences = [_difference(name, known.get(name), terms.get(name)) for name in changed]
        raise ConfigError(
            f"the search in {file} was on other terms ({'; '.join(differences)}); search on the same, or remove the "
            "file to begin anew"
        )
    search = Search(study, model, space, int(terms["seed"]))
    interrupted = search.drop_interrupted()
    if search.n_ended or interrupted:
        logger.info("%s: %s trials found, %s interrupted", file, search.n_ended, interrupted)
    return search


def _check_file(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as database:
            (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise DataError(f"the search in {file} cannot be read ({said}); remove the file to begin anew")


def _suggest(trial: optuna.Trial, name: str, range_: Range) -> Any:
    match range_:
        case Real():
            return float(f"{trial.suggest_float(name, range_.low, range_.high, log=True):.4g}")
        case Whole():
            return trial.suggest_int(name, range_.low, range_.high, log=range_.log)
        case OneOf():
            return trial.suggest_categorical(name, range_.values)


def _difference(name: str, was: Any, now: Any) -> str:
    if isinstance(was, dict) and isinstance(now, dict):
        return f"{name}: {', '.join(sorted(key for key in {*was, *now} if was.get(key) != now.get(key)))}"
    return f"{name}: {was} then, {now} now"
