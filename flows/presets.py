"""Options from YAML files: presets and what `--config` names. Owns how they are read and laid over each other."""

import os
from collections.abc import Container
from pathlib import Path
from typing import Any, Final

import yaml

from tasks.errors import ConfigError
from tasks.settings import PROJECT_ROOT
from tasks.storage.addresses import in_storage

PRESETS: Final = PROJECT_ROOT / "deployments" / "presets"
NAMED_SOURCES: Final = ("sample", "kaggle")
# What PyYAML raises of itself for bytes that are no text, dates that do not exist, tags of other types, depth.
_YAML_SLIPS: Final = (ValueError, LookupError, AttributeError, TypeError, RecursionError)


def load_preset(name: str, options: Container[str]) -> dict[str, Any]:
    """Return the content of a preset.

    Args:
        name: of a file in `PRESETS`, or the path of a YAML file.
        options: that a preset may set.

    Raises:
        ConfigError: there is no such preset, the file is not a YAML mapping, or an option in it does not exist.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PRESETS / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
        raise ConfigError(f"no preset {name!r} ({path} does not exist); there are: {names}")
    preset = read_options(path)
    if strangers := sorted(str(option) for option in preset if option not in options or option == "preset"):
        raise ConfigError(f"{path}: a preset cannot set {', '.join(strangers)}; see flows/full_pipeline.py --help")
    return preset


def read_options(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file; a file or folder that it names as its source starts from its own folder.

    Raises:
        ConfigError: the file cannot be read or holds no mapping.
    """
    options = read_yaml(path)
    source = options.get("source")
    if isinstance(source, str) and source not in NAMED_SOURCES and not in_storage(source):
        options["source"] = os.path.normpath(path.absolute().parent / Path(source).expanduser())
    return options


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: the file cannot be read or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}; give the path of a YAML file with options") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: no YAML ({error.problem}); mend the line") from error
    except (OSError, yaml.YAMLError, *_YAML_SLIPS) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no mapping of option to value")
    return content


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return two nested mappings as one; where both have a value, that of `above` stands."""
    result = dict(below)
    for key, value in above.items():
        base = result.get(key)
        nested = isinstance(base, dict) and isinstance(value, dict)
        result[key] = merged(base, value) if nested else value  # type: ignore[arg-type]
    return result
