"""Choosing models by name and overriding their parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from tasks.core.errors import ConfigError, is_installed, require, validation_messages
from tasks.models.estimators import check_on_a_few_rows
from tasks.models.spec import AnyModel, EnsembleSpec, FeaturesSpec, ModelSpec, TransformerSpec, features_of

EXCEPT: Final = "!"
# Fields of a model that are not parameters, or hold parameters.
NOT_PARAMETERS: Final = frozenset({"kind", "name", "training", "loss", "input"})
_EXTRA_OF: Final = {"frozen-encoder": "encoders", "word-vectors": "vectors"}


def choose_models(
    patterns: Sequence[str], params: Mapping[str, Mapping[str, Any]] | None = None, own_models: Sequence[AnyModel] = ()
) -> tuple[AnyModel, ...]:
    """Return the models with names that match any pattern, in the registry's order, then the user's own.

    Selecting an ensemble also selects its members. Patterns are names or shell globs (`logreg-*`). A pattern after `!`
    excludes (`!*-tuned*`); if all patterns exclude, they exclude from all models.

    `params` replace a model's defaults, by model name and then by field of its classifier or representation:
    `{"logreg-tfidf": {"C": 2.0, "max_n": 2}}`. The kind of the part may come before the field: `{"svm-all":
    {"character-ngrams.max_n": 4}}`.

    Raises:
        ConfigError: there is no pattern, one matches no model, a parameter names no chosen model or no field of it,
            a name is taken, or an ensemble has a member that is not a single model.
    """
    from tasks.models.registry import MODELS  # noqa: PLC0415 - imports scikit-learn

    _check_estimators(tuple(model for model in own_models if isinstance(model, ModelSpec)))
    models = (*MODELS, *own_models)
    names = [model.name for model in models]
    _check_names(models)
    if not patterns:
        raise ConfigError(f"no model is chosen; give --models with names or globs of: {', '.join(names)}")
    for pattern in (pattern.removeprefix(EXCEPT) for pattern in patterns):
        if not any(fnmatchcase(name, pattern) for name in names):
            close = get_close_matches(pattern, names, n=3)
            hint = f"did you mean {', '.join(close)}?" if close else f"there are: {', '.join(names)}"
            raise ConfigError(f"no model is named {pattern!r}; {hint}")
    wanted = {name for name in names if _is_wanted(name, patterns)}
    if not wanted:
        raise ConfigError(f"{', '.join(patterns)}: no model is left of: {', '.join(names)}")
    for model in models:
        if isinstance(model, EnsembleSpec) and model.name in wanted:
            wanted.update(model.members)
    chosen = [model for model in models if model.name in wanted]
    params = params or {}
    if unknown := sorted(set(params) - {model.name for model in chosen}):
        raise ConfigError(f"model_params names {', '.join(unknown)}, which is not among the chosen models")
    changed = {model.name: with_params(model, params.get(model.name, {})) for model in chosen}
    if twice := _repeated([model.name for model in changed.values()]):
        raise ConfigError(f"with model_params two chosen models are called {', '.join(twice)}; exclude one of them")
    for name, model in changed.items():
        if isinstance(model, EnsembleSpec):
            members = tuple(changed[member].name for member in model.members)
            changed[name] = model.model_copy(update={"members": members})
    return tuple(changed.values())


@cache
def _check_estimators(own_models: tuple[ModelSpec, ...]) -> None:
    """Check that third-party estimators accept their parameters and their input.

    Raises:
        ConfigError: one does not.
    """
    for model in own_models:
        for part in (model.classifier, *model.representations):
            try:
                check_on_a_few_rows(part, part is model.classifier)
            except ValueError as error:
                raise ConfigError(f"own model {model.name}: {error}") from error


def check_installed(models: Sequence[AnyModel]) -> None:
    """Check that the packages that models need are installed.

    Raises:
        ConfigError: one is not; names the models, and how to install it.
    """
    missing: dict[str, list[str]] = {}
    for model in models:
        kinds = [part.kind for part in model.representations] if isinstance(model, ModelSpec) else []
        extras = ["encoders"] if isinstance(model, TransformerSpec) else [_EXTRA_OF.get(kind, "") for kind in kinds]
        if absent := [extra for extra in extras if extra and not is_installed(extra)]:
            missing[model.name] = absent
    if missing:
        require({extra for extras in missing.values() for extra in extras}, ", ".join(missing))


def describe_choice(chosen: Sequence[AnyModel], patterns: Sequence[str]) -> str:
    """Return the number of chosen models, and which of them are only members of an ensemble."""
    added = [model.name for model in chosen if not _is_wanted(model.name, patterns)]
    more = f", including {', '.join(added)} as members of an ensemble" if added else ""
    return f"{len(chosen)} model{'' if len(chosen) == 1 else 's'}{more}"


def _is_wanted(name: str, patterns: Sequence[str]) -> bool:
    wanted = [pattern for pattern in patterns if not pattern.startswith(EXCEPT)] or ["*"]
    unwanted = [pattern.removeprefix(EXCEPT) for pattern in patterns if pattern.startswith(EXCEPT)]
    return any(fnmatchcase(name, pattern) for pattern in wanted) and not any(
        fnmatchcase(name, pattern) for pattern in unwanted
    )


def _check_names(models: Sequence[AnyModel]) -> None:
    if twice := _repeated([model.name for model in models]):
        raise ConfigError(f"the name {', '.join(twice)} is taken; give the model another one")
    single = {model.name for model in models if not isinstance(model, EnsembleSpec)}
    for model in models:
        if isinstance(model, EnsembleSpec) and not single.issuperset(model.members):
            unknown = ", ".join(sorted(set(model.members) - single))
            raise ConfigError(f"the ensemble {model.name} has members that are not single models: {unknown}")


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def with_params(model: AnyModel, params: Mapping[str, Any]) -> AnyModel:
    """Return a model with some parameters replaced; one that several representations have is replaced in all of them.

    Raises:
        ConfigError: the model has no such parameter, or is an ensemble, or the parameter does not take the value.
    """
    if isinstance(model, EnsembleSpec):
        if params:
            raise ConfigError(f"{model.name} is an ensemble and has no parameters; replace those of its members")
        return model
    values = model.model_dump()
    parts = _parts_of(model, values)
    for key, value in params.items():
        kind, _, field = key.rpartition(".")
        found = [part for part in parts if field in part.fields and kind in ("", part.kind)]
        if not found:
            names = sorted({name for part in parts for name in part.fields})
            raise ConfigError(f"model {model.name} has no parameter {key!r}; it has: {', '.join(names)}")
        for part in found if found[0].is_representation else found[:1]:
            part.values[field] = value
    try:
        changed = type(model).model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"model_params of {model.name}: {'; '.join(validation_messages(error))}") from error
    if isinstance(changed, TransformerSpec) or isinstance(model, TransformerSpec):
        return changed
    if changed.imbalance == model.imbalance:
        return changed
    base = model.name.removesuffix(model.imbalance.suffix)
    return changed.model_copy(update={"name": base + changed.imbalance.suffix})


@dataclass(frozen=True)
class _Part:
    """A part of a model's values that holds parameters."""

    values: dict[str, Any]  # changed in place
    fields: frozenset[str]  # what may be set in it
    kind: str = ""
    is_representation: bool = False


def _parts_of(model: ModelSpec | TransformerSpec, values: dict[str, Any]) -> list[_Part]:
    """Return the parts of a model's values to search for parameters, in this order."""

    def plain(name: str) -> _Part:
        return _Part(values[name], frozenset(values[name]) - NOT_PARAMETERS, values[name].get("kind", ""))

    if isinstance(model, TransformerSpec):
        return [plain("training"), plain("loss"), plain("input"), _Part(values, frozenset(values) - NOT_PARAMETERS)]
    specs = (model.classifier, *model.representations)
    written: list[dict[str, Any]] = [{"kind": spec.kind, "params": dict(spec.params)} for spec in specs]
    values["classifier"], *values["representations"] = written
    classifier, *representations = [
        _Part(each["params"], spec.parameters, spec.kind, spec is not model.classifier)
        for each, spec in zip(written, specs, strict=True)
    ]
    return [classifier, plain("imbalance"), *representations, plain("input")]


def within_budget(models: Sequence[AnyModel], budget_minutes: float | None) -> tuple[AnyModel, ...]:
    """Divide a time budget evenly among the fine-tuned models; None changes nothing."""
    n_tuned = sum(isinstance(model, TransformerSpec) for model in models)
    if budget_minutes is None or not n_tuned:
        return tuple(models)
    share = {"budget_minutes": budget_minutes / n_tuned}
    return tuple(with_params(model, share) if isinstance(model, TransformerSpec) else model for model in models)


def is_encoded(features: FeaturesSpec) -> bool:
    """Return whether features are the output of an encoder, which takes longer than all others together."""
    return features.representation.kind == "frozen-encoder"


def encoder_dependent(models: Sequence[AnyModel]) -> frozenset[str]:
    """Return the names of the models that are encoders, read the output of one, or have such members."""
    names = {
        model.name
        for model in models
        if isinstance(model, TransformerSpec)
        or (isinstance(model, ModelSpec) and any(map(is_encoded, features_of(model))))
    }
    ensembles = [model for model in models if isinstance(model, EnsembleSpec)]
    return frozenset(names | {model.name for model in ensembles if not names.isdisjoint(model.members)})
