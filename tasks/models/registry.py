"""The named models, one line each. Owns names and defaults; fits nothing.

To add a model, add a line. To change one for a run, use `model_params` in a preset or on the command line.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

from pydantic import ValidationError

from tasks.errors import ConfigError
from tasks.models.spec import (
    BagOfWords,
    InputSpec,
    LinearSVM,
    LogisticRegression,
    ModelSpec,
    NaiveBayes,
    NearestNeighbours,
)

DESCRIPTION: Final = InputSpec()
LEMMAS: Final = InputSpec(text="lemmas")
TITLE: Final = InputSpec(title=True)

COUNTS: Final = BagOfWords(weighting="counts")
TFIDF: Final = BagOfWords(weighting="tfidf")
TFIDF_BIGRAMS: Final = BagOfWords(weighting="tfidf", max_n=2, sublinear=True)

MODELS: Final = (
    ModelSpec(name="logreg-counts", input=DESCRIPTION, representation=COUNTS, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf", input=DESCRIPTION, representation=TFIDF, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf-lemmas", input=LEMMAS, representation=TFIDF, classifier=LogisticRegression(C=4)),
    ModelSpec(name="logreg-tfidf-title", input=TITLE, representation=TFIDF_BIGRAMS, classifier=LogisticRegression(C=4)),
    ModelSpec(name="svm-tfidf-title", input=TITLE, representation=TFIDF_BIGRAMS, classifier=LinearSVM()),
    ModelSpec(name="nb-counts", input=DESCRIPTION, representation=COUNTS, classifier=NaiveBayes()),
    ModelSpec(name="knn-tfidf-title", input=TITLE, representation=TFIDF_BIGRAMS, classifier=NearestNeighbours()),
)


def choose_models(
    patterns: Sequence[str],
    params: Mapping[str, Mapping[str, Any]] | None = None,
    models: Sequence[ModelSpec] = MODELS,
) -> tuple[ModelSpec, ...]:
    """Return the models whose names match any of the patterns, in the registry's order.

    Args:
        patterns: names or shell globs (`logreg-*`).
        params: values that replace a model's defaults, by model name and then by field of its classifier or
            representation: `{"logreg-tfidf": {"C": 2.0, "max_n": 2}}`.
        models: the registry.

    Raises:
        ConfigError: there is no pattern, one matches no model, or a parameter names no chosen model or no field of it.
    """
    names = [model.name for model in models]
    if not patterns:
        raise ConfigError(f"no model is chosen; give --models with names or globs of: {', '.join(names)}")
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = get_close_matches(pattern, names, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(names)}"
            raise ConfigError(f"no model is named {pattern!r}; {hint}")
    chosen = [model for model in models if any(fnmatchcase(model.name, pattern) for pattern in patterns)]
    params = params or {}
    if strangers := sorted(set(params) - {model.name for model in chosen}):
        raise ConfigError(f"model_params names {', '.join(strangers)}, which is not among the chosen models")
    return tuple(_with_params(model, params.get(model.name, {})) for model in chosen)


def _with_params(model: ModelSpec, params: Mapping[str, Any]) -> ModelSpec:
    values = model.model_dump()
    for key, value in params.items():
        homes = [part for part in ("classifier", "representation", "input") if key in values[part] and key != "kind"]
        if not homes:
            fields = sorted({f for part in ("classifier", "representation", "input") for f in values[part]} - {"kind"})
            raise ConfigError(f"model {model.name} has no parameter {key!r}; it has: {', '.join(fields)}")
        values[homes[0]][key] = value
    try:
        return ModelSpec.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"model_params of {model.name}: {error}") from error
