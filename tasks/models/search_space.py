"""Where a search looks for better parameters. Owns the table of ranges; knows nothing of how it is searched.

To let a search vary a parameter, add it under the kind of classifier or representation that has it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.errors import ConfigError
from tasks.models.estimators import EstimatorSpec
from tasks.models.spec import ModelSpec


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
