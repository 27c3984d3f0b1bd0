"""Command lines of the flows: parsing, help, environment, console log, signals and exit codes.

A flow file is both a command and a module. As a command it comes here before it imports anything heavy, so that
`--help` and errors are immediate. The flow then runs from the imported module, so that other processes can import what
it submits to them.
"""

import atexit
import contextlib
import importlib
import logging
import multiprocessing
import os
import re
import signal
import sys
import threading
import traceback
from argparse import Action, RawDescriptionHelpFormatter
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsError
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from flows import command_help
from flows.command_help import option_names
from flows.config import FlowConfig, check_source, merged, read_options
from tasks.core import logs
from tasks.core.errors import GenreflowError, validation_messages
from tasks.core.logs import Progress, SafeFormatter, hide_secrets
from tasks.core.settings import data_paths

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FlowConfig)

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
SIGNAL_EXIT_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}  # the shell's convention
INTERRUPTED: Final = "interrupted; run the same command again to continue"
UNWIND_S: Final = 5.0  # for the flow to unwind after a signal
CLEANUP_S: Final = 10.0  # for the actions in `at_stop`

# Loggers whose warnings are hidden. Prefect repeats, with a traceback, the error that the command prints in one line;
# its services warn about events that they still send after a run has ended.
HIDDEN_LOGGERS: Final = ("prefect.flow_runs", "prefect.task_runs", "EventsWorker", "APILogWorker")

SWITCH_FORMS: Final = {"true": "--{}", "false": "--no-{}"}
_NO_DEFAULT: Final = tuple(f" (default: {value})" for value in ("none", "None", "()", "{}"))

# Read by Prefect and MLflow when they are imported. Values that the user set are kept.
ENVIRONMENT: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s is too short on a busy machine
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks",  # what the stages log reaches Prefect's UI
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # MLflow bypasses our console handler
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # gives up on an absent server after 15 s, not after four minutes
    "OMP_NUM_THREADS": "1",  # models are trained in parallel, each on one core
}

# Actions to run when a signal ends the process, last added first. Code that adds one removes it when done.
at_stop: list[Callable[[], None]] = []


def run_command(config_type: type[Config], run: str | Callable[[Config], int]) -> int:
    """Parse the command line, run what it asks for, and return the process's exit code.

    `run` is the flow as "module:name", or a function of the configuration that returns an exit code. Errors that the
    user can fix are printed as one line; anything else keeps its traceback. Neither shows a secret.
    """
    sys.excepthook = show_exception
    try:
        config = parse_command(config_type, sys.argv[1:])
        set_environment()
        log_to_console(config.verbose)
        stop_on_signals()
        with as_one_line():
            if callable(run):
                return run(config)
            run_flow(run, config)
    except GenreflowError as error:
        _print_error(str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        return EXIT_INTERRUPTED
    except SystemExit as ended:
        if ended.code in SIGNAL_EXIT_CODES.values():  # the flow unwound in time
            sys.stderr.write(f"{INTERRUPTED}\n")
        raise
    return EXIT_OK


def set_environment() -> None:
    """Set the variables that Prefect and MLflow read when they are imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)


def run_flow(flow: str, config: FlowConfig) -> Any:
    """Run a flow, given as "module:name", on the configured Prefect server or a temporary one; return its result."""
    paths = data_paths()  # an unusable data folder or source is refused before Prefect starts
    source = getattr(config, "source", None)
    check_source(source)
    if source and not getattr(config, "table", None):
        from tasks.acquire import listings  # noqa: PLC0415 - only where there is a source

        listings.check_source(paths, source)
    logger.info("starting Prefect and MLflow, which takes some seconds")
    from prefect import flow_engine  # noqa: PLC0415 - only where a flow runs

    from flows.run_context import prefect_server  # noqa: PLC0415 - it imports Prefect

    # SIGTERM acts like Ctrl-C. Prefect's own handler would wait minutes for a server that the same signal has ended
    # if it goes to all processes of a service.
    vars(flow_engine)["capture_sigterm"] = contextlib.nullcontext
    module, name = flow.split(":")
    with prefect_server(lambda: importlib.import_module(module)) as loaded:
        called = getattr(loaded, name)
        arguments = {option: value for option, value in config.given.items() if option in called.parameters.properties}
        return called(**arguments, config=config)


@contextlib.contextmanager
def as_one_line() -> Iterator[None]:
    """Raise failures outside of the program, such as an absent store, as one-line errors."""
    try:
        yield
    except GenreflowError:
        raise
    except Exception as error:
        from flows.run_context import as_user_error  # noqa: PLC0415 - it imports MLflow

        if (user_error := as_user_error(error)) is None:
            raise
        raise user_error from error


def show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback to standard error as Python does, without secrets."""
    sys.stderr.write(hide_secrets("".join(traceback.format_exception(kind, error, trace))))


def parse_command(config_type: type[Config], arguments: Sequence[str]) -> Config:
    """Return the configuration from a command line, or exit: 0 after `--help`, 2 after an error.

    Options override `--config FILE.yaml`, which overrides the preset, which overrides the defaults. Words in option
    names are joined by "-" or "_". A switch is `--report`, `--no-report`, or as in a YAML file `--report true`,
    `--report false`.
    """
    arguments = [_with_hyphens(argument) for argument in arguments]
    if (answer := command_help.answer(config_type, arguments, command_name())) is not None:
        sys.stdout.write(answer)
        sys.exit(EXIT_OK)
    try:
        command_help.check_names(config_type, arguments)
        given = _given_options(config_type, ["--help" if each == "--help-all" else each for each in arguments])
        file = given.pop("config", None)
        options = merged(read_options(Path(file)) if file else {}, given)
        check_source(options.get("source"))  # before models are loaded, which takes seconds
        return config_type.model_validate(options)
    except SettingsError as error:
        message, cause = str(error), str(error.__cause__ or "")
        if message.startswith("error parsing CLI: "):
            _print_error(message.removeprefix("error parsing CLI: "))
        else:
            message = message if cause in message else f"{message}: {cause}"
            _print_error(f"{message}; write nested values as JSON, in single quotes")
    except ValidationError as error:
        for line in validation_messages(error):
            option, colon, message = line.partition(": ")
            _print_error(f"--{option.replace('_', '-')}: {message}" if colon else line)
    except GenreflowError as error:
        _print_error(str(error))
    sys.exit(EXIT_USAGE)


def command_name() -> str:
    """Return how this command is called: `python flows/train.py` or `genreflow train`."""
    called = sys.argv[0]
    return called if called.startswith("genreflow ") else f"python flows/{Path(called).name}"


def _print_error(message: str) -> None:
    """Print an error to standard error; characters that cannot be encoded, such as lone surrogates, are escaped."""
    line = f"error: {hide_secrets(message)}\n"
    sys.stderr.write(line.encode("utf-8", "backslashreplace").decode("utf-8"))


def _given_options(config_type: type[BaseModel], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options on a command line, nested as the configuration is; exit after `--help-all`.

    Raises:
        SettingsError: an option has no value, or a value is not valid JSON where it has to be.
    """
    file = Field(None, description="YAML file with options; the command line overrides it.")
    model = create_model(config_type.__name__, __base__=(config_type, BaseSettings), config=(Path | None, file))
    command = cast("type[BaseSettings]", model)
    options: CliSettingsSource[Any] = CliSettingsSource(
        command,
        cli_prog_name=command_name(),
        cli_parse_args=_as_switches(arguments, {name for name, is_switch in option_names(config_type) if is_switch}),
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_parse_none_str="none",
        cli_exit_on_error=False,
        formatter_class=_HelpFormatter,
    )
    return dict(options())


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Shows each default once, and none where an option has no value."""

    def add_argument(self, action: Action) -> None:
        """Add an option, with its default as in the short help."""
        if action.help and action.help.endswith(_NO_DEFAULT):
            about = action.help.removesuffix(next(filter(action.help.endswith, _NO_DEFAULT)))
            action.help = re.sub(r" Default: (.*)\.$", r" (default: \1)", about)
        super().add_argument(action)


def _as_switches(arguments: Sequence[str], switches: Container[str]) -> list[str]:
    """Return the arguments with `--report false` and `--report=false` as `--no-report`, and so for `true`."""
    result: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if name in switches and not equals and waiting and waiting[0] in SWITCH_FORMS:
            value = waiting.pop(0)
        known = name in switches and value in SWITCH_FORMS
        result.append(SWITCH_FORMS[value].format(name[2:]) if known else argument)
    return result


def _with_hyphens(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def log_to_console(verbose: bool) -> None:
    """Log the stages' progress and other packages' warnings to standard error; everything if `verbose`.

    A terminal shows a bar for work in progress. Prefect does not change a root logger that has a formatted handler, so
    its own lines go through the same filter.
    """
    handler = _terminal_handler() if sys.stderr.isatty() else logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    handler.addFilter(lambda record: verbose or is_user_facing(record))
    logging.getLogger().addHandler(handler)
    for name in ("flows", "tasks"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)


def is_user_facing(record: logging.LogRecord) -> bool:
    """Return whether a log record is for users: all of ours, and warnings of other packages."""
    if record.name.startswith(("flows", "tasks")):
        return True
    return record.levelno >= logging.WARNING and not record.name.startswith(HIDDEN_LOGGERS)


def _terminal_handler() -> logging.Handler:
    """Return a handler that prints above progress bars, and have the bars drawn."""
    console = Console(stderr=True)
    bars = TerminalBars(console)
    atexit.register(bars.close)
    logs.watchers.append(bars)
    handler = TerminalHandler(console)
    handler.addFilter(lambda record: record.name != logs.__name__)  # the bars show progress
    return handler


class TerminalHandler(logging.Handler):
    """Prints log records above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        self.console.print(Text(self.format(record)), soft_wrap=True)


class TerminalBars:
    """Progress bars, one per piece of work; a watcher of `tasks.core.logs`."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        self._bars = Bars(
            *columns, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=console, transient=True
        )
        self._shown: dict[Progress, TaskID] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Erase unfinished bars, as after an error, and restore the cursor."""
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Update the bar of a piece of work; remove it when the work is finished."""
        with self._lock:
            bar = self._shown.get(progress)
            if progress.is_finished:
                if bar is not None:
                    self._bars.remove_task(self._shown.pop(progress))
                if not self._shown:
                    self._bars.stop()
                return
            if bar is None:
                bar = self._shown[progress] = self._bars.add_task(progress.what, total=progress.total, rate="")
                self._bars.start()
            rate = progress.done / max(progress.clock() - progress.start_s, 1e-9)
            self._bars.update(bar, completed=progress.done, total=progress.total, rate=f"{rate:,.0f}/s")


def stop_on_signals() -> None:
    """Make Ctrl-C and SIGTERM unwind the flow, and end the process after some seconds in any case.

    An interrupt unwinds the flow like an error. But Prefect waits for running tasks and starts those that wait, and a
    fit cannot be interrupted from outside; so a thread runs the actions in `at_stop` and ends the process.
    """
    for number in SIGNAL_EXIT_CODES:
        signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    code = SIGNAL_EXIT_CODES[signal.Signals(number)]
    signal.signal(number, lambda *_: os._exit(code))  # a second signal does not wait
    timer = threading.Timer(UNWIND_S, _end, [code])
    timer.daemon = True
    timer.start()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(code)


def _end(code: int) -> None:
    """Run the actions in `at_stop`, then end the process whether or not other threads are done."""
    cleaning = threading.Thread(target=_clean_up, daemon=True)
    cleaning.start()
    cleaning.join(CLEANUP_S)
    for process in multiprocessing.active_children():
        process.kill()
    with contextlib.suppress(OSError):  # the reader may be gone
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(code)


def _clean_up() -> None:
    for action in reversed(at_stop):
        try:
            action()
        except Exception:
            logger.debug("while stopping", exc_info=True)
