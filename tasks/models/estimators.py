"""Estimators in configuration: a class by name, with parameters that are checked before anything is fitted.

This project's estimators have short names; any other that can be imported is named by its path: `{kind: linear-svm, C:
0.1}` or `{estimator: sklearn.linear_model.RidgeClassifier, alpha: 2}`.
"""

import importlib
import inspect
import json
import re
import warnings
from collections.abc import Mapping
from functools import cache
from itertools import accumulate
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue

from tasks.core.errors import validation_messages

IS_A_TABLE: Final = True  # see tasks.stage


class Choice(BaseModel, frozen=True, extra="forbid"):
    """A frozen piece of configuration that refuses unknown fields."""


SHORT_NAMES: Final[Mapping[str, str]] = {
    "bag-of-words": "tasks.models.vectorizers.BagOfWords",
    "character-ngrams": "tasks.models.vectorizers.CharacterNgrams",
    "side-fields": "tasks.models.vectorizers.SideFields",
    "word-vectors": "tasks.models.word_vectors.WordVectors",
    "pretrained-vectors": "tasks.models.word_vectors.PretrainedVectors",
    "frozen-encoder": "tasks.models.encoder.frozen.FrozenEncoder",
    "logistic-regression": "tasks.models.linear.LogisticRegression",
    "linear-svm": "tasks.models.linear.LinearSVM",
    "naive-bayes": "tasks.models.linear.NaiveBayes",
    "naive-bayes-svm": "tasks.models.linear.NaiveBayesSVM",
    "classifier-chains": "tasks.models.linear.ClassifierChains",
    "stacked-logistic-regression": "tasks.models.linear.StackedLogisticRegression",
    "nearest-neighbours": "tasks.models.multilabel.NearestNeighbours",
    "gradient-boosting": "tasks.models.multilabel.GradientBoosting",
    "multilayer-perceptron": "tasks.models.multilabel.MultilayerPerceptron",
}
NO_ESTIMATOR: Final = "there is no estimator"
_LONGEST: Final = 300  # characters of another package's message
_UNREADABLE: Final = re.compile(
    r"[Dd]ense data is required|does not support sparse|convert string to float|Reshape your data|Expected 2D array"
)
# Set by `make` from the run and the model: the seed, and the treatment of rare genres.
SET_BY_THE_MODEL: Final = ("random_state", "class_weight", "smote_ratio", "treated")


class EstimatorSpec(Choice):
    """An unfitted scikit-learn estimator as plain values."""

    kind: str  # a short name, or the path of a class
    params: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _from_any_form(cls, given: Any) -> Any:
        if isinstance(given, EstimatorSpec):
            return {"kind": given.kind, "params": given.params}
        if not isinstance(given, Mapping):
            if not hasattr(given, "get_params"):
                raise ValueError("expected an estimator's `kind` or `estimator`, with its parameters")
            return _of_instance(given)
        rest = dict(given)
        kind = str(rest.pop("kind", "") or rest.pop("estimator", ""))
        if not kind:
            raise ValueError(f"give `kind`, one of {', '.join(SHORT_NAMES)}, or `estimator`, the path of a class")
        given_params = rest.pop("params", {}) if "params" not in _parameters(kind) else {}
        return {"kind": kind, "params": _checked(kind, {**rest, **given_params})}

    @model_serializer(mode="plain")
    def _to_plain(self) -> dict[str, Any]:
        if self.kind in SHORT_NAMES:
            return {"kind": self.kind, **self.params}
        return {"estimator": self.kind, "params": self.params}

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> JsonSchemaValue:
        """Return the schema of the form that users write, for Prefect's UI."""
        kind = {"type": "string", "title": "Kind", "enum": list(SHORT_NAMES)}
        path = {"type": "string", "title": "Path of any other scikit-learn estimator"}
        return {"type": "object", "title": "Estimator", "properties": {"kind": kind, "estimator": path}}

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def make(self, **more: Any) -> Any:
        """Return the estimator, unfitted, with `more` of `SET_BY_THE_MODEL`; nested ones get the seed, too."""
        checked, defaults = _params_model(self.kind)(**self.params), inspect.signature(self.estimator_class).parameters
        values = {name: _made(getattr(checked, f"param_{name}"), defaults[name].default) for name in self.params}
        estimator = self.estimator_class(**values)
        if "random_state" in more:
            from tasks.models.multilabel import with_random_state  # noqa: PLC0415 - imports scikit-learn

            estimator = with_random_state(estimator, more.pop("random_state"))
        return estimator.set_params(**more)

    @property
    def estimator_class(self) -> type[Any]:
        """The class that `kind` names."""
        return class_named(self.kind)

    @property
    def classes(self) -> list[type[Any]]:
        """Its class and those of the estimators among its parameters."""
        nested = map(EstimatorSpec.model_validate, _nested(self.params))
        return [self.estimator_class, *(found for each in nested for found in each.classes)]

    @property
    def parameters(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(_parameters(self.kind))

    @property
    def treats_imbalance(self) -> bool:
        """Whether it accepts balanced weights and SMOTE."""
        return {"class_weight", "smote_ratio"} <= inspect.signature(self.estimator_class).parameters.keys()


def check_role(spec: EstimatorSpec, is_classifier: bool) -> None:
    """Check that an estimator is a classifier, or else a transformer; a ValueError if it is not or cannot be made."""
    from sklearn import base  # noqa: PLC0415 - takes seconds

    methods = ("predict_proba", "decision_function", "predict") if is_classifier else ("transform",)
    fits = any(hasattr(spec.estimator_class, name) for name in methods)
    try:
        fits = fits and (not is_classifier or base.is_classifier(spec.make()))
    except (AttributeError, TypeError) as error:
        line = str(error).partition("\n")[0][:_LONGEST]
        raise ValueError(
            f"{spec.kind} cannot be made ({line}); write a parameter that is an estimator as {{estimator: its.path}}"
        ) from error
    if not fits:
        raise ValueError(f"{spec.kind} is not a {'classifier' if is_classifier else 'transformer'}")


def check_on_a_few_rows(spec: EstimatorSpec, is_classifier: bool) -> None:
    """Fit a third-party estimator on a few rows, to report its errors before a long run.

    A ValueError if it refuses its parameters, sparse vectors (a classifier) or texts (a transformer); errors that may
    be due to the small number of rows are ignored.
    """
    if spec.kind in SHORT_NAMES or getattr(spec.estimator_class, "reads_movies", False):
        return
    import numpy as np  # noqa: PLC0415 - configuration is also read without it
    from scipy import sparse  # noqa: PLC0415

    y = np.arange(40) % 2
    vectors = sparse.random_array((40, 8), density=0.5, format="csr", dtype=np.float32, rng=np.random.default_rng(1))
    texts = [f"text number {row} of kind {label}" for row, label in enumerate(y)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.make(random_state=1).fit(vectors if is_classifier else texts, y)
    except Exception as error:  # a third party's estimator may raise anything
        line = " ".join(str(error).split())
        if type(error).__name__ == "InvalidParameterError" or _UNREADABLE.search(line):
            reads = "sparse vectors" if is_classifier else "texts"
            raise ValueError(f"{spec.kind} cannot be fitted on {reads}: {line[:_LONGEST]}") from error


@cache
def class_named(kind: str) -> type[Any]:
    """Return the class with a short name or a path; a ValueError if there is none, or it is no estimator."""
    module, _, name = SHORT_NAMES.get(kind, kind).rpartition(".")
    if not module:
        raise ValueError(
            f"no estimator is named {kind!r}; give one of {', '.join(SHORT_NAMES)}, or a path such as "
            "sklearn.linear_model.RidgeClassifier"
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{NO_ESTIMATOR} {kind} ({error}); check the path, and that it is installed") from error
    if not (isinstance(found, type) and callable(getattr(found, "get_params", None)) and hasattr(found, "fit")):
        raise ValueError(f"{kind} is not a scikit-learn estimator: it lacks fit or get_params")
    return found


def name_of(estimator_class: type[Any]) -> str:
    """Return the short name of a class, or else the shortest path from which it can be imported."""
    module, name = estimator_class.__module__, estimator_class.__qualname__
    for public in list(accumulate(module.split("."), "{}.{}".format))[1:]:
        if "._" in public:
            break
        if getattr(importlib.import_module(public), name, None) is estimator_class:
            module = public
            break
    path = f"{module}.{name}"
    return next((short for short, known in SHORT_NAMES.items() if known == path), path)


def _of_instance(estimator: Any) -> dict[str, Any]:
    kind = name_of(type(estimator))
    defaults = {name: parameter.default for name, parameter in inspect.signature(type(estimator)).parameters.items()}
    params = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name in _parameters(kind)
        and (kind in SHORT_NAMES or type(value) is not type(defaults.get(name)) or value != defaults.get(name))
    }
    return {"kind": kind, "params": _checked(kind, params)}


def _parameters(kind: str) -> list[str]:
    return [str(field.alias) for field in _params_model(kind).model_fields.values()]


@cache
def _params_model(kind: str) -> type[BaseModel]:
    """Return a pydantic model of the parameters of a class, with the types and bounds of its constructor."""
    estimator_class = class_named(kind)
    hints = get_type_hints(estimator_class.__init__, include_extras=True) if kind in SHORT_NAMES else {}
    skipped = SET_BY_THE_MODEL if kind in SHORT_NAMES else ()
    # By aliases, because a parameter may have the name of a pydantic method, such as `copy`.
    fields: dict[str, Any] = {}
    for name, found in inspect.signature(estimator_class).parameters.items():
        if name not in skipped and found.kind in (found.POSITIONAL_OR_KEYWORD, found.KEYWORD_ONLY):
            default = ... if found.default is found.empty else found.default
            fields[f"param_{name}"] = (hints.get(name, Any), Field(default, alias=name))
    config = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=True)
    return create_model(estimator_class.__name__, __config__=config, **fields)


def _checked(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON values: all for this project's estimators, only the given ones for others."""
    plain = {name: _plain(value) for name, value in params.items()}
    try:
        checked = _params_model(kind)(**plain)
    except ValidationError as error:
        known = f"; {kind} has: {', '.join(_parameters(kind))}" if "extra_forbidden" in str(error) else ""
        raise ValueError("; ".join(f"parameter {line}" for line in validation_messages(error)) + known) from error
    if kind in SHORT_NAMES:
        return checked.model_dump(mode="json", by_alias=True)
    try:
        return dict(json.loads(json.dumps(plain)))
    except TypeError as error:
        raise ValueError(f"{kind}: parameters must be texts, numbers, lists or estimators ({error})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    is_instance = hasattr(value, "get_params") and not isinstance(value, type)
    return EstimatorSpec.model_validate(value).model_dump() if is_instance or _is_plain_form(value) else value


def _is_plain_form(value: Any) -> bool:
    return isinstance(value, Mapping) and not {"kind", "estimator"}.isdisjoint(value)


def _nested(value: Any) -> list[Any]:
    """Return the estimators among JSON values, in their plain form."""
    if isinstance(value, Mapping) and isinstance(value.get("kind") or value.get("estimator"), str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [found for each in inner for found in _nested(each)]


def _made(value: Any, default: Any = None) -> Any:
    if isinstance(value, list):
        # Steps and transformers are tuples, which JSON does not have.
        made = [tuple(_made(each)) if isinstance(each, list) else _made(each) for each in value]
        return tuple(made) if isinstance(default, tuple) else made
    return EstimatorSpec.model_validate(value).make() if _is_plain_form(value) else value
