"""Choosing models by name and changing their parameters. Owns patterns, overrides and their mistakes."""

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
# Fields of a model that are no parameters, or hold the parameters.
STRUCTURE: Final = frozenset({"kind", "name", "training", "loss", "input"})
_EXTRA_OF: Final = {"frozen-encoder": "encoders", "word-vectors": "vectors"}


def choose_models(
    patterns: Sequence[str],
    params: Mapping[str, Mapping[str, Any]] | None = None,
    own_models: Sequence[AnyModel] = (),
) -> tuple[AnyModel, ...]:
    """Return the models whose names match any of the patterns, in the registry's order, then the user's own.

    An ensemble brings its members with it.

    Args:
        patterns: names or shell globs (`logreg-*`); what one with `!` before it matches is left out (`!*-tuned*`),
            of all models if there are no others.
        params: values that replace a model's defaults, by model name and then by field of its classifier or
            representation: `{"logreg-tfidf": {"C": 2.0, "max_n": 2}}`. Before the field there may be the kind of the
            part that is meant: `{"svm-all": {"character-ngrams.max_n": 4}}`.
        own_models: further models beside those of the registry.

    Raises:
        ConfigError: there is no pattern, one matches no model, a parameter names no chosen model or no field of it, a
            name is taken, or an ensemble has a member that is no single model.
    """
    from tasks.models.registry import MODELS  # noqa: PLC0415 - imports scikit-learn

    _check_own(tuple(model for model in own_models if isinstance(model, ModelSpec)))
    models = (*MODELS, *own_models)
    names = [model.name for model in models]
    _check_names(models)
    if not patterns:
        raise ConfigError(f"no model is chosen; give --models with names or globs of: {', '.join(names)}")
    for pattern in (pattern.removeprefix(EXCEPT) for pattern in patterns):
        if not any(fnmatchcase(name, pattern) for name in names):
            near = get_close_matches(pattern, names, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(names)}"
            raise ConfigError(f"no model is named {pattern!r}; {hint}")
    wanted = {name for name in names if _is_wanted(name, patterns)}
    if not wanted:
        raise ConfigError(f"{', '.join(patterns)}: no model is left of: {', '.join(names)}")
    for model in models:
        if isinstance(model, EnsembleSpec) and model.name in wanted:
            wanted.update(model.members)
    chosen = [model for model in models if model.name in wanted]
    params = params or {}
    if strangers := sorted(set(params) - {model.name for model in chosen}):
        raise ConfigError(f"model_params names {', '.join(strangers)}, which is not among the chosen models")
    changed = {model.name: with_params(model, params.get(model.name, {})) for model in chosen}
    if twice := _repeated([model.name for model in changed.values()]):
        raise ConfigError(f"with model_params two chosen models are called {', '.join(twice)}; leave one of them out")
    return tuple(
        model.model_copy(update={"members": tuple(changed[name].name for name in model.members)})
        if isinstance(model, EnsembleSpec)
        else model
        for model in changed.values()
    )


@cache
def _check_own(own_models: tuple[ModelSpec, ...]) -> None:
    """Make sure that estimators of others take their parameters, and what they are to read.

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
    """Refuse models that need packages which are not installed.

    Raises:
        ConfigError: names the models, and how to add the packages.
    """
    extras = {model.name: extra for model in models if (extra := _extra_of(model)) and not is_installed(extra)}
    if extras:
        require(set(extras.values()), ", ".join(extras))


def _extra_of(model: AnyModel) -> str | None:
    if isinstance(model, TransformerSpec):
        return "encoders"
    if isinstance(model, EnsembleSpec):
        return None  # its members are chosen with it
    for representation in model.representations:
        if extra := _EXTRA_OF.get(representation.kind):
            return extra
    return None


def say_models(chosen: Sequence[AnyModel], patterns: Sequence[str]) -> str:
    """Say how many models were chosen, and which were not asked for but are members of an ensemble that was."""
    brought = [model.name for model in chosen if not _is_wanted(model.name, patterns)]
    more = f", {', '.join(brought)} of them as members of an ensemble" if brought else ""
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
            strangers = ", ".join(sorted(set(model.members) - single))
            raise ConfigError(f"the ensemble {model.name} has no single model named {strangers} to be made of")


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def with_params(model: AnyModel, params: Mapping[str, Any]) -> AnyModel:
    """Return a model with some values replaced, wherever in it they are; every representation that has it gets it.

    Raises:
        ConfigError: the model has no such parameter, or is an ensemble, or a value is none that the parameter takes.
    """
    if isinstance(model, EnsembleSpec):
        if params:
            raise ConfigError(f"{model.name} is an ensemble and has no parameters; replace those of its members")
        return model
    values = model.model_dump()
    homes = _homes_of(model, values)
    for key, value in params.items():
        kind, _, field = key.rpartition(".")
        found = [home for home in homes if field in home.fields and kind in ("", home.kind)]
        if not found:
            names = sorted({name for home in homes for name in home.fields})
            raise ConfigError(f"model {model.name} has no parameter {key!r}; it has: {', '.join(names)}")
        for home in found if found[0].is_representation else found[:1]:
            home.values[field] = value
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
class _Home:
    """A part of a model's values that holds parameters."""

    values: dict[str, Any]  # changed in place
    fields: frozenset[str]  # what may be set in it
    kind: str = ""
    is_representation: bool = False


def _homes_of(model: ModelSpec | TransformerSpec, values: dict[str, Any]) -> list[_Home]:
    """Return where a model's values hold parameters, in the order in which they are looked for."""
    plain = ("training", "loss", "input") if isinstance(model, TransformerSpec) else ("imbalance", "input")
    homes = {
        name: _Home(values[name], frozenset(values[name]) - STRUCTURE, values[name].get("kind", "")) for name in plain
    }
    if isinstance(model, TransformerSpec):
        return [*homes.values(), _Home(values, frozenset(values) - STRUCTURE)]
    parts = (model.classifier, *model.representations)
    values["classifier"], *values["representations"] = [{"kind": p.kind, "params": dict(p.params)} for p in parts]
    chosen = (values["classifier"], *values["representations"])
    classifier, *representations = [
        _Home(value["params"], part.parameters, part.kind, part is not model.classifier)
        for value, part in zip(chosen, parts, strict=True)
    ]
    return [classifier, homes["imbalance"], *representations, homes["input"]]


def within_budget(models: Sequence[AnyModel], budget_minutes: float | None) -> tuple[AnyModel, ...]:
    """Return the models with the budget divided evenly among those that are fine-tuned; None changes nothing."""
    n_tuned = sum(isinstance(model, TransformerSpec) for model in models)
    if budget_minutes is None or not n_tuned:
        return tuple(models)
    share = {"budget_minutes": budget_minutes / n_tuned}
    return tuple(with_params(model, share) if isinstance(model, TransformerSpec) else model for model in models)


def is_encoded(features: FeaturesSpec) -> bool:
    """Return whether features are the output of an encoder, which takes longer than all others together."""
    return features.representation.kind == "frozen-encoder"


def names_of_late(models: Sequence[AnyModel]) -> frozenset[str]:
    """Return the names of the models that are encoders, read the output of one, or have such members."""
    late = {
        model.name
        for model in models
        if isinstance(model, TransformerSpec)
        or (isinstance(model, ModelSpec) and any(map(is_encoded, features_of(model))))
    }
    ensembles = [model for model in models if isinstance(model, EnsembleSpec)]
    return frozenset(late | {model.name for model in ensembles if not late.isdisjoint(model.members)})
