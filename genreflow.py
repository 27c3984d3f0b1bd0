"""Use genreflow from Python; also the console command `genreflow`.

```python
import genreflow as gf

movies = gf.read_movies("data/clean/movies.parquet")
model = gf.make_model("svm-fields", C=0.2).fit(movies, movies["genres"])
model.predict(["A nurse hears voices in an abandoned ward."])
```

Importing it is cheap: `flows.python_api`, which has the functions, is loaded at the first use.
"""

import ast
import importlib
import runpy
import sys
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flows.python_api import (
        GenreEstimator,
        LoadedModel,
        Run,
        compare,
        load,
        make_model,
        model_names,
        read_movies,
        run,
    )

__all__ = ["GenreEstimator", "LoadedModel", "Run", "compare", "load", "make_model", "model_names", "read_movies", "run"]

# The modules of `flows` that are commands, in the order of the help. The full pipeline is called `run`.
MODULES: Final = (
    *("full_pipeline", "acquire", "prepare", "explore", "train", "cross_validate", "search", "compare", "audit"),
    *("predict", "serve", "demo", "tidy"),
)
COMMANDS: Final = {"run" if name == "full_pipeline" else name.replace("_", "-"): name for name in MODULES}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("flows.python_api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def main() -> int:
    """Run `genreflow COMMAND [OPTION]...`; each command is a file in `flows/`. Return the process's exit code."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("--help", "-h", "--version"):
        sys.stdout.write(f"genreflow {version('genreflow')}\n" if command == "--version" else usage())
        return 0
    if command not in COMMANDS:
        close = get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of: {', '.join(COMMANDS)}"
        sys.stderr.write(f"error: unknown command {command}; {hint}\n")
        return 2
    sys.argv = [f"genreflow {command}", *arguments]
    runpy.run_module(f"flows.{COMMANDS[command]}", run_name="__main__")
    return 0


def usage() -> str:
    """Return the list of commands, each with the first sentence of its module's docstring."""
    lines = ["usage: genreflow COMMAND [OPTION]...\n\nCommands:\n"]
    for command, module in COMMANDS.items():
        source = (Path(__file__).parent / "flows" / f"{module}.py").read_text(encoding="utf-8")
        about = (ast.get_docstring(ast.parse(source)) or "").partition(":")[0]
        lines.append(f"  {command:<16}{about}\n")
    return "".join([*lines, "\nSee genreflow COMMAND --help for options; genreflow --version\n"])


if __name__ == "__main__":
    sys.exit(main())
