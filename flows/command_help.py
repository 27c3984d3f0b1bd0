"""Help on the command line: a screen of main options, lists of models and presets, hints for unknown options."""

import re
import shutil
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.config import PRESETS, FlowConfig, HelpGroup
from tasks.core.errors import ConfigError

GROUPS: Final = ("Data", "Models", "Run", "Results")
WIDTH: Final = 100  # columns, at most
VALUE_NAMES: Final = {
    int: "N",
    float: "NUMBER",
    str: "TEXT",
    Path: "FILE",
    tuple: "NAME,...",
    dict: "JSON",
    Literal: "NAME",
}
LISTS: Final = {"models": "--list-models", "preset": "--list-presets"}  # by the field that takes the names


def answer(config_type: type[FlowConfig], arguments: Sequence[str], command: str) -> str | None:
    """Return what `--help`, `--list-models` or `--list-presets` prints; None if none of them is given."""
    if {"--help", "-h"} & set(arguments):
        return short_help(config_type, command)
    for field, option in LISTS.items():
        if option in arguments and field in config_type.model_fields:
            return list_models() if field == "models" else list_presets()
    return None


def short_help(config_type: type[FlowConfig], command: str) -> str:
    """Return a screen of help: the fields marked with a `HelpGroup`, and examples."""
    lists = "".join(f", {option}" for field, option in LISTS.items() if field in config_type.model_fields)
    examples = "\n".join(f"  {command} {example}".rstrip() for example in config_type.examples)
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    parser = ArgumentParser(
        usage=f"{command} [OPTION]...",
        description=config_type.__doc__,
        epilog=f"Examples:\n{examples}\n\nMore: --help-all (all options){lists}",
        formatter_class=partial(RawDescriptionHelpFormatter, max_help_position=28, width=width),
        add_help=False,
    )
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    marked = [(each, *item) for item in config_type.model_fields.items() for each in item[1].metadata]
    for group, name, field in sorted((each for each in marked if isinstance(each[0], HelpGroup)), key=lambda it: it[0]):
        option, about = f"--{name.replace('_', '-')}", _description(field).replace("%", "%%")
        if field.annotation is bool:
            option = f"--[no-]{option[2:]}" if field.default else option
            groups[group.title].add_argument(option, action="store_true", help=about)
        else:
            groups[group.title].add_argument(option, metavar=_value_name(field.annotation), help=about)
    config_help = "YAML file with options; the command line overrides it."
    groups["Run"].add_argument("--config", metavar="FILE", help=config_help)
    return parser.format_help()


def list_models() -> str:
    """Return a line for each model of the registry: its name, and its parts."""
    from tasks.models.registry import built_in_models  # noqa: PLC0415 - only here
    from tasks.models.spec import shown_params  # noqa: PLC0415 - only here

    lines = []
    for model in built_in_models():
        params = shown_params(model)
        if "members" in params:
            about = f"{params['method']} of {', '.join(params['members'])}"
        elif "encoder" in params:
            about = f"fine-tuned {params['encoder']}"
        else:
            about = f"{params['classifier'].rpartition('.')[2]} on {params['vectors']}"
        lines.append(f"{model.name:<24}{about}\n")
    return "".join(lines)


def list_presets() -> str:
    """Return a line for each preset: its name, and the first sentence of the comment at its top."""
    lines = []
    for path in sorted(PRESETS.glob("*.yaml")):
        comment = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8"))
        words = " ".join(comment[0].replace("#", "").split()) if comment else ""
        lines.append(f"{path.stem:<16}{words.partition('. ')[0].rstrip('.')}\n")
    return "".join(lines)


def check_names(config_type: type[FlowConfig], arguments: Sequence[str]) -> None:
    """Refuse options that do not exist; an unambiguous prefix of an option is accepted.

    Raises:
        ConfigError: an option does not exist; suggests the closest one.
    """
    known = [
        "--config",
        "--help",
        "--help-all",
        *(LISTS[field] for field in LISTS if field in config_type.model_fields),
    ]
    for option, is_switch in option_names(config_type):
        known += [option, f"--no-{option[2:]}"] if is_switch else [option]
    for argument in arguments:
        name = argument.partition("=")[0]
        if re.fullmatch(r"--\S+", name) and not any(option.startswith(name) for option in known):
            close = get_close_matches(name, known, n=1)
            raise ConfigError(f"unknown option {name}; {f'did you mean {close[0]}?' if close else 'see --help'}")


def option_names(config_type: type[BaseModel], prefix: str = "--") -> Iterator[tuple[str, bool]]:
    """Yield the names of all options, including nested ones, and whether each is a switch."""
    for name, field in config_type.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        option = prefix + name.replace("_", "-")
        yield option, bool in kinds
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from option_names(kind, f"{option}.")


def _description(field: FieldInfo) -> str:
    text = re.sub(r" Default: (.*)\.$", r" (default: \1)", field.description or "")
    if field.is_required():
        return f"{text} (required)"
    if field.annotation is bool:
        return f"{text} (default: yes)" if field.default else text
    notes = [" or ".join(", ".join(_choices(field.annotation)).rsplit(", ", 1))]
    notes += [] if field.default in (None, (), {}) else [f"default: {field.default}"]
    return f"{text} ({'; '.join(filter(None, notes))})" if any(notes) else text


def _choices(annotation: Any) -> list[str]:
    return [str(choice) for choice in get_args(annotation)] if get_origin(annotation) is Literal else []


def _value_name(annotation: Any) -> str:
    kind = get_args(annotation)[0] if type(None) in get_args(annotation) else annotation
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return VALUE_NAMES[get_origin(kind) or kind]
