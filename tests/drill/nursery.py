"""A process that imports what commands need once, and forks a child for each command that the drill runs and harms.

    python nursery.py MODULE ...        (reads one JSON request a line, answers each with one JSON line)

Starting a command costs seconds of imports; a forked child has them already and is otherwise the command itself: its
own environment, output, signals and end. The nursery has one thread and uses nothing that it imports.
"""

import contextlib
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from faults import install
from soak import log_many_runs
from victims import log_a_run, run_stages

from flows.cli import ENVIRONMENT, log_to_console, run_command
from flows.config import FlowConfig, PipelineConfig

# What a child can be: a command's configuration, and its flow or function.
COMMANDS: dict[str, tuple[type[FlowConfig], str | Callable[[FlowConfig], int]]] = {
    "pipeline": (PipelineConfig, "flows.full_pipeline:full_pipeline"),
    "small flow": (FlowConfig, "small_flow:small_flow"),
    "stages": (FlowConfig, run_stages),
    "run": (FlowConfig, log_a_run),
    "many runs": (FlowConfig, log_many_runs),
}


def start(request: dict[str, Any]) -> int:
    """Fork a child that runs a command, and return its process id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        os.environ.update(request["environment"])
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["drill.py", *request["arguments"]]
        for fault in request["faults"]:
            install(fault, Path(request["root"]))
        logging.getLogger().handlers.clear()  # the command adds its own
        with prefect_settings(request["environment"]):
            code = run_command(*COMMANDS[request["command"]])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - what the interpreter does with it
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def prefect_settings(environment: dict[str, str]) -> contextlib.AbstractContextManager[Any]:
    """Give Prefect what an environment says to it, which it read when it was imported."""
    own = {key: value for key, value in environment.items() if key.startswith("PREFECT_")}
    if not own:
        return contextlib.nullcontext()
    from prefect import settings  # noqa: PLC0415 - which stages do without

    return settings.temporary_settings({getattr(settings, key): value for key, value in own.items()})


def main() -> None:
    """Answer requests until there are no more."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    log_to_console(verbose=False)  # before Prefect is imported, as in a command: it then leaves logging alone
    for module in sys.argv[1:]:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answers.write(json.dumps({"exit": os.waitstatus_to_exitcode(status)}) + "\n")
        else:
            answers.write(json.dumps({"pid": start(request)}) + "\n")


if __name__ == "__main__":
    main()
