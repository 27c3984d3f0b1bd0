"""The built-in models of `registry.yaml`, their choice by name, and changes of their parameters."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from tasks.core.errors import ConfigError, is_installed, require, validation_messages
from tasks.models.estimators import check_on_a_few_rows
from tasks.models.spec import AnyModel, EnsembleSpec, FeaturesSpec, ModelSpec, TransformerSpec, features_of

FILE: Final = Path(__file__).with_suffix(".yaml")
EXCEPT: Final = "!"
# Fields of a model that are not parameters, or hold parameters.
NOT_PARAMETERS: Final = frozenset({"kind", "name", "training", "loss", "input"})
_EXTRA_OF: Final = {"frozen-encoder": "encoders", "word-vectors": "vectors"}

Part = tuple[str, AbstractSet[str], dict[str, Any]]  # its kind, its fields, and its values, to change in place


@cache
def built_in_models() -> tuple[AnyModel, ...]:
    """Return the models of the registry; imports scikit-learn."""
    lines = yaml.safe_load(FILE.read_text(encoding="utf-8"))["models"]
    return TypeAdapter(tuple[AnyModel, ...]).validate_python(lines)


def choose_models(
    patterns: Sequence[str], params: Mapping[str, Mapping[str, Any]] | None = None, own_models: Sequence[AnyModel] = ()
) -> tuple[AnyModel, ...]:
    """Return the models with names that match any pattern, in the registry's order, then the user's own.

    Selecting an ensemble also selects its members. Patterns are names or shell globs (`logreg-*`). A pattern after `!`
    excludes (`!*-tuned*`); if all patterns exclude, they exclude from all models. `params` replace a model's defaults,
    by model and by field, or part and field: `{"svm-all": {"C": 2.0, "character-ngrams.max_n": 4}}`.

    A ConfigError if a pattern matches no model, a parameter names no chosen model or no field of it, a name is taken,
    or an ensemble has a member that is not a single model.
    """
    _check_estimators(tuple(model for model in own_models if isinstance(model, ModelSpec)))
    models = (*built_in_models(), *own_models)
    _check_names(models)
    names = [model.name for model in models]
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
    wanted.update(*(model.members for model in models if isinstance(model, EnsembleSpec) and model.name in wanted))
    params = params or {}
    if unknown := sorted(set(params) - wanted):
        raise ConfigError(f"model_params names {', '.join(unknown)}, which is not among the chosen models")
    changed = {m.name: with_params(m, params.get(m.name, {})) for m in models if m.name in wanted}
    if twice := _repeated(changed.values()):
        raise ConfigError(f"with model_params two chosen models are called {twice}; exclude one of them")
    for name, model in changed.items():
        if isinstance(model, EnsembleSpec):
            members = tuple(changed[member].name for member in model.members)
            changed[name] = model.model_copy(update={"members": members})
    return tuple(changed.values())


@cache
def _check_estimators(own_models: tuple[ModelSpec, ...]) -> None:
    """Check that third-party estimators accept their parameters and their input; a ConfigError if not."""
    for model in own_models:
        for part in (model.classifier, *model.representations):
            try:
                check_on_a_few_rows(part, part is model.classifier)
            except ValueError as error:
                raise ConfigError(f"own model {model.name}: {error}") from error


def _check_names(models: Sequence[AnyModel]) -> None:
    if twice := _repeated(models):
        raise ConfigError(f"the name {twice} is taken; give the model another one")
    single = {model.name for model in models if not isinstance(model, EnsembleSpec)}
    for model in models:
        if isinstance(model, EnsembleSpec) and (unknown := sorted(set(model.members) - single)):
            raise ConfigError(f"the ensemble {model.name} has members that are not single models: {', '.join(unknown)}")


def _repeated(models: Iterable[AnyModel]) -> str:
    counts = Counter(model.name for model in models)
    return ", ".join(sorted(name for name, count in counts.items() if count > 1))


def check_installed(models: Sequence[AnyModel]) -> None:
    """Check that the packages that models need are installed; a ConfigError that says how to install them if not."""
    missing: dict[str, set[str]] = {}
    for model in models:
        kinds = [part.kind for part in model.representations] if isinstance(model, ModelSpec) else []
        extras = {_EXTRA_OF[kind] for kind in kinds if kind in _EXTRA_OF}
        extras |= {"encoders"} if isinstance(model, TransformerSpec) else set()
        if absent := {extra for extra in extras if not is_installed(extra)}:
            missing[model.name] = absent
    if missing:
        require(set().union(*missing.values()), ", ".join(missing))


def describe_choice(chosen: Sequence[AnyModel], patterns: Sequence[str]) -> str:
    """Return the number of chosen models, and which of them are only members of an ensemble."""
    added = [model.name for model in chosen if not _is_wanted(model.name, patterns)]
    more = f", including {', '.join(added)} as members of an ensemble" if added else ""
    return f"{len(chosen)} model{'' if len(chosen) == 1 else 's'}{more}"


def _is_wanted(name: str, patterns: Sequence[str]) -> bool:
    included = [pattern for pattern in patterns if not pattern.startswith(EXCEPT)] or ["*"]
    excluded = [pattern.removeprefix(EXCEPT) for pattern in patterns if pattern.startswith(EXCEPT)]
    is_included, is_excluded = (any(fnmatchcase(name, each) for each in some) for some in (included, excluded))
    return is_included and not is_excluded


def with_params(model: AnyModel, params: Mapping[str, Any]) -> AnyModel:
    """Return a model with some parameters replaced; one that several representations have is replaced in all of them.

    A ConfigError if the model has no such parameter, or is an ensemble, or the parameter does not take the value.
    """
    if isinstance(model, EnsembleSpec):
        if params:
            raise ConfigError(f"{model.name} is an ensemble and has no parameters; replace those of its members")
        return model
    values = model.model_dump()
    groups = _parameter_groups(model, values)
    for key, value in params.items():
        kind, _, field = key.rpartition(".")
        found = ([part for part in group if field in part[1] and kind in ("", part[0])] for group in groups)
        parts = next(filter(None, found), [])
        if not parts:
            names = sorted({name for group in groups for _, fields, _ in group for name in fields})
            raise ConfigError(f"model {model.name} has no parameter {key!r}; it has: {', '.join(names)}")
        for _, _, given in parts:
            given[field] = value
    try:
        changed = type(model).model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"model_params of {model.name}: {'; '.join(validation_messages(error))}") from error
    if isinstance(changed, ModelSpec) and isinstance(model, ModelSpec) and changed.imbalance != model.imbalance:
        base = model.name.removesuffix(model.imbalance.suffix)
        return changed.model_copy(update={"name": base + changed.imbalance.suffix})
    return changed


def _parameter_groups(model: ModelSpec | TransformerSpec, values: dict[str, Any]) -> list[list[Part]]:
    """Return the parts of a model's values that hold parameters; the first group with a field is the one to change."""

    def plain(name: str) -> Part:
        return values[name].get("kind", ""), values[name].keys() - NOT_PARAMETERS, values[name]

    if isinstance(model, TransformerSpec):
        return [[plain("training"), plain("loss"), plain("input"), ("", values.keys() - NOT_PARAMETERS, values)]]
    specs = (model.classifier, *model.representations)
    written: list[dict[str, Any]] = [{"kind": spec.kind, "params": dict(spec.params)} for spec in specs]
    values["classifier"], *values["representations"] = written
    classifier, *representations = [
        (spec.kind, spec.parameters, each["params"]) for each, spec in zip(written, specs, strict=True)
    ]
    return [[classifier], [plain("imbalance")], [*representations, plain("input")]]


def within_budget(models: Sequence[AnyModel], budget_minutes: float | None) -> tuple[AnyModel, ...]:
    """Divide a time budget evenly among the fine-tuned models; None changes nothing."""
    tuned = [model for model in models if isinstance(model, TransformerSpec)]
    share = {} if budget_minutes is None else {"budget_minutes": budget_minutes / max(len(tuned), 1)}
    return tuple(with_params(model, share) if model in tuned else model for model in models)


def is_encoded(features: FeaturesSpec) -> bool:
    """Return whether features are the output of an encoder, which takes longer than all others together."""
    return features.representation.kind == "frozen-encoder"


def encoder_dependent(models: Sequence[AnyModel]) -> frozenset[str]:
    """Return the names of the models that are encoders, read the output of one, or have such members."""
    ensembles = [model for model in models if isinstance(model, EnsembleSpec)]
    single = [model for model in models if not isinstance(model, EnsembleSpec)]
    names = {m.name for m in single if isinstance(m, TransformerSpec) or any(map(is_encoded, features_of(m)))}
    return frozenset(names | {model.name for model in ensembles if not names.isdisjoint(model.members)})
