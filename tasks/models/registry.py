"""The named models, one line each. Owns names and defaults; fits nothing.

To add a model, add a line. To change one for a run, use `model_params` in a preset or on the command line.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

from pydantic import ValidationError

from tasks.errors import ConfigError
from tasks.models.classifiers import LinearSVM, LogisticRegression, NaiveBayes, NearestNeighbours
from tasks.models.representations import BagOfWords, CharacterNgrams, SideFields
from tasks.models.spec import EnsembleSpec, InputSpec, ModelSpec

AnyModel = ModelSpec | EnsembleSpec

DESCRIPTION: Final = InputSpec()
LEMMAS: Final = InputSpec(text="lemmas")
TITLE: Final = InputSpec(title=True)

COUNTS: Final = (BagOfWords(weighting="counts"),)
TFIDF: Final = (BagOfWords(),)
BIGRAMS: Final = (BagOfWords(max_n=2, sublinear=True),)
WITH_FIELDS: Final = (*BIGRAMS, SideFields())
EVERYTHING: Final = (*BIGRAMS, CharacterNgrams(), SideFields())

MODELS: Final[tuple[AnyModel, ...]] = (
    ModelSpec(name="logreg-counts", input=DESCRIPTION, representations=COUNTS, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf", input=DESCRIPTION, representations=TFIDF, classifier=LogisticRegression()),
    ModelSpec(name="logreg-tfidf-lemmas", input=LEMMAS, representations=TFIDF, classifier=LogisticRegression(C=4)),
    ModelSpec(name="logreg-tfidf-title", input=TITLE, representations=BIGRAMS, classifier=LogisticRegression(C=4)),
    ModelSpec(name="logreg-fields", input=TITLE, representations=WITH_FIELDS, classifier=LogisticRegression(C=4)),
    ModelSpec(name="svm-tfidf-title", input=TITLE, representations=BIGRAMS, classifier=LinearSVM()),
    ModelSpec(name="svm-fields", input=TITLE, representations=WITH_FIELDS, classifier=LinearSVM()),
    ModelSpec(name="svm-everything", input=TITLE, representations=EVERYTHING, classifier=LinearSVM()),
    ModelSpec(name="nb-counts", input=DESCRIPTION, representations=COUNTS, classifier=NaiveBayes()),
    ModelSpec(name="knn-tfidf-title", input=TITLE, representations=BIGRAMS, classifier=NearestNeighbours()),
)


def choose_models(
    patterns: Sequence[str],
    params: Mapping[str, Mapping[str, Any]] | None = None,
    models: Sequence[AnyModel] = MODELS,
) -> tuple[AnyModel, ...]:
    """Return the models whose names match any of the patterns, in the registry's order; ensembles with their members.

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
    wanted = {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}
    for model in models:
        if isinstance(model, EnsembleSpec) and model.name in wanted:
            wanted.update(model.members)
    chosen = [model for model in models if model.name in wanted]
    params = params or {}
    if strangers := sorted(set(params) - {model.name for model in chosen}):
        raise ConfigError(f"model_params names {', '.join(strangers)}, which is not among the chosen models")
    return tuple(_with_params(model, params.get(model.name, {})) for model in chosen)


def _with_params(model: AnyModel, params: Mapping[str, Any]) -> AnyModel:
    """Return a model with some values replaced, wherever in it they are; every representation that has it gets it."""
    if isinstance(model, EnsembleSpec):
        if params:
            raise ConfigError(f"{model.name} is an ensemble and has no parameters; replace those of its members")
        return model
    values = model.model_dump()
    homes = [values["classifier"], values["imbalance"], *values["representations"], values["input"]]
    for key, value in params.items():
        found = [home for home in homes if key in home and key != "kind"]
        if not found:
            fields = sorted({field for home in homes for field in home} - {"kind"})
            raise ConfigError(f"model {model.name} has no parameter {key!r}; it has: {', '.join(fields)}")
        is_of_representation = found[0] in values["representations"]
        for home in found if is_of_representation else found[:1]:
            home[key] = value
    try:
        changed = ModelSpec.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"model_params of {model.name}: {error}") from error
    if changed.imbalance == model.imbalance:
        return changed
    base = model.name.removesuffix(model.imbalance.suffix)
    return changed.model_copy(update={"name": base + changed.imbalance.suffix})
