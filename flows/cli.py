"""From a command line to a flow. Owns parsing, the process's environment, its console log and its exit code.

A flow file is a command and a module at once. As a command it comes here before it imports anything heavy, so that
`--help` and mistakes are answered at once; the flow then runs from the imported module, so that whatever it submits to
other processes has an importable home.
"""

import atexit
import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict, SettingsError
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from flows.config import FlowConfig, merged, read_options
from tasks.core import logs
from tasks.core.errors import GenreflowError, validation_messages
from tasks.core.logs import Progress, SafeFormatter, hide_secrets
from tasks.core.settings import data_paths

# How a command is stopped: at once where that can be waited for, and in some seconds in any case.
#
# An interrupt unwinds the flow like an error. But Prefect waits for the tasks that run, and starts those that wait, and
# a fit cannot be interrupted from outside; so what has to be in order is put in order by a thread, and the process
# ends. Owns that; knows no flow.


logger = logging.getLogger(__name__)

STOP_S: Final = 5.0  # for the flow to unwind
ORDER_S: Final = 10.0  # for what is done at the end
EXIT_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}  # by the shell's custom
MESSAGE: Final = "interrupted; run the same command again to continue"

# What to do before the process ends, the last first. Whoever adds something removes it when it is done otherwise.
at_stop: list[Callable[[], None]] = []


def stop_on_signals() -> None:
    """Have Ctrl-C and SIGTERM stop this process as described above."""
    for number in EXIT_CODES:
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    code = EXIT_CODES[signal.Signals(number)]
    signal.signal(number, lambda *_: os._exit(code))  # a second one does not wait
    timer = threading.Timer(STOP_S, _end, [code])
    timer.daemon = True
    timer.start()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(code)


def _end(code: int) -> None:
    """Put in order what can be, then end the process, whatever its other threads do."""
    ordering = threading.Thread(target=_put_in_order, daemon=True)
    ordering.start()
    ordering.join(ORDER_S)
    for process in multiprocessing.active_children():
        process.kill()
    with contextlib.suppress(OSError):  # nobody may read any more
        sys.stderr.write(f"{MESSAGE}\n")
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(code)


def _put_in_order() -> None:
    for do in reversed(at_stop):
        try:
            do()
        except Exception:
            logger.debug("while stopping", exc_info=True)


# What a command shows in a terminal: log lines, and bars below them while long work goes on.
#
# Owns drawing; knows no stage. Where standard error is no terminal, the timed lines of `tasks.core.logs` say the same.


COLUMNS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    TaskProgressColumn(),
    TextColumn("{task.fields[rate]}"),
    TimeRemainingColumn(),
)


class TerminalHandler(logging.Handler):
    """Prints log records above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        self.console.print(Text(self.format(record)), soft_wrap=True)


class TerminalBars:
    """A bar for each piece of work that is under way; a watcher of `tasks.core.logs`."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(*COLUMNS, console=console, transient=True)
        self._shown: dict[Progress, TaskID] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Erase what is shown, as after an error that left work unfinished, and give the cursor back."""
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Move the bar of a piece of work; remove it when the work is finished."""
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


Config = TypeVar("Config", bound=FlowConfig)

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130

# Loggers whose warnings are not shown
UNHEARD = ("prefect.flow_runs", "prefect.task_runs", "EventsWorker", "APILogWorker")

SAID = {"true": "--{}", "false": "--no-{}"}  # of a switch

# Read by Prefect and MLflow when they are imported. What the user set stays.
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 s is too short on a busy machine
    "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks",  # what the stages log reaches Prefect's UI
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # MLflow logs past our console handler
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",  # a server away for a quarter of a minute is waited for, not for four
    "OMP_NUM_THREADS": "1",  # models run side by side; each keeps to its own core
}


def run_command(config_type: type[Config], run: str | Callable[[Config], int]) -> int:
    """Parse the command line, run what it asks for, and return the process's exit code.

    Args:
        config_type: the flow's parameter.
        run: the flow as "module:name", or a function of the configuration that returns an exit code.

    Errors that the user can mend are printed as one line; anything else keeps its traceback. Neither shows a secret.
    """
    sys.excepthook = show_exception
    try:
        config = parse_command(config_type, sys.argv[1:])
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        log_to_console(config.verbose)
        stop_on_signals()
        with told_in_a_line():
            if callable(run):
                return run(config)
            run_flow(run, config)
    except GenreflowError as error:
        _say(f"error: {hide_secrets(str(error))}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write(f"{MESSAGE}\n")
        return EXIT_INTERRUPTED
    except SystemExit as ended:
        if ended.code in EXIT_CODES.values():  # by a signal; the flow unwound before the patience was over
            sys.stderr.write(f"{MESSAGE}\n")
        raise
    return EXIT_OK


def show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback to standard error as Python does, without secrets."""
    sys.stderr.write(hide_secrets("".join(traceback.format_exception(kind, error, trace))))


def run_flow(flow: str, config: FlowConfig) -> Any:
    """Run a flow, given as "module:name", on the Prefect server at hand or on a temporary one; return its result."""
    paths = data_paths()  # before Prefect starts: an unusable data folder or source is refused at once
    if (source := getattr(config, "source", None)) and not getattr(config, "table", None):
        from tasks.acquire.listings import check_source  # noqa: PLC0415 - only where there is a source

        check_source(paths, source)
    logging.getLogger(__name__).info("starting Prefect and MLflow, which takes some seconds")
    from prefect import flow_engine  # noqa: PLC0415 - only where a flow runs

    from flows.run_context import prefect_server  # noqa: PLC0415 - as above

    # SIGTERM stops a command as Ctrl-C does. Prefect would take it for itself, and then ask a server for minutes that
    # the same signal has ended, where it goes to all processes of a service.
    vars(flow_engine)["capture_sigterm"] = contextlib.nullcontext
    module, name = flow.split(":")
    with prefect_server(lambda: importlib.import_module(module)) as loaded:
        called = getattr(loaded, name)
        leading = {option: value for option, value in config.given.items() if option in called.parameters.properties}
        return called(**leading, config=config)


@contextlib.contextmanager
def told_in_a_line() -> Iterator[None]:
    """Raise what fails outside of the program, such as a store that is away, as an error that is told in a line."""
    try:
        yield
    except GenreflowError:
        raise
    except Exception as error:
        from flows.run_context import told_plainly  # noqa: PLC0415 - it imports MLflow

        if (told := told_plainly(error)) is None:
            raise
        raise told from error


def parse_command(config_type: type[Config], arguments: Sequence[str]) -> Config:
    """Return the configuration that a command line asks for, or exit: 0 after `--help`, 2 after a mistake.

    Options come first, then `--config FILE.yaml`, then the preset, then the defaults. Words in option names are joined
    by "-" or "_". A switch is `--report`, `--no-report`, or as in a YAML file `--report true`, `--report false`.
    """
    try:
        given = _given_options(config_type, arguments)
        file = given.pop("config", None)
        return config_type.model_validate(merged(read_options(Path(file)) if file else {}, given))
    except SettingsError as error:
        said, cause = str(error), str(error.__cause__ or "")
        told = said if cause in said else f"{said}: {cause}"
        _say(f"error: {hide_secrets(told)}; give what has several parts as JSON, in single quotes")
        sys.exit(EXIT_USAGE)
    except ValidationError as error:
        for mistake in map(hide_secrets, validation_messages(error)):
            option, colon, message = mistake.partition(": ")
            _say(f"error: --{option.replace('_', '-')}: {message}" if colon else f"error: {mistake}")
        sys.exit(EXIT_USAGE)
    except GenreflowError as error:
        _say(f"error: {hide_secrets(str(error))}")
        sys.exit(EXIT_USAGE)


def log_to_console(verbose: bool) -> None:
    """Log the stages' progress and other packages' warnings to standard error; everything if `verbose`.

    In a terminal, work under way has a bar.

    Prefect keeps its hands off a root logger that has a formatted handler, so its own lines go through the same filter.
    """
    handler = terminal_handler() if sys.stderr.isatty() else logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    handler.addFilter(lambda record: verbose or is_for_people(record))
    logging.getLogger().addHandler(handler)
    for name in ("flows", "tasks"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)


def terminal_handler() -> logging.Handler:
    """Return a handler that prints above bars of the work under way, and have the bars drawn."""
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal

    console = Console(stderr=True)
    bars = TerminalBars(console)
    atexit.register(bars.close)
    logs.watchers.append(bars)
    handler = TerminalHandler(console)
    handler.addFilter(lambda record: record.name != logs.__name__)  # the bars say it
    return handler


def is_for_people(record: logging.LogRecord) -> bool:
    """Return whether a log record tells a user something: ours do, and warnings of others.

    Prefect's reports of failed runs are left out: they repeat, with a traceback, what the command says in one line. So
    is what its services say of the events that they still send when a run has ended.
    """
    if record.name.startswith(("flows", "tasks")):
        return True
    return record.levelno >= logging.WARNING and not record.name.startswith(UNHEARD)


def _say(line: str) -> None:
    """Print a line to standard error; characters that no file can hold, as halves of a pair, are escaped."""
    sys.stderr.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def _given_options(config_type: type[BaseModel], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options that a command line gives, nested as the configuration is; exit after `--help`.

    Raises:
        SettingsError: a value is no JSON where it has to be.
    """
    namespace = {
        "__doc__": config_type.__doc__,
        "__module__": config_type.__module__,
        "__annotations__": {"config": Path | None},
        "config": Field(None, description="YAML file with options, read below those given here."),
        "model_config": SettingsConfigDict(extra="forbid", cli_prog_name=Path(sys.argv[0]).name),
    }
    command = type(config_type.__name__, (config_type, BaseSettings), namespace)
    options: CliSettingsSource[Any] = CliSettingsSource(
        command,
        cli_parse_args=_as_switches([_with_hyphens(argument) for argument in arguments], set(_switches(config_type))),
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_parse_none_str="none",
    )
    return dict(options())


def _switches(config_type: type[BaseModel], prefix: str = "--") -> Iterator[str]:
    """Yield the names of the options that are true or false, those of nested models too."""
    for name, field in config_type.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        option = prefix + name.replace("_", "-")
        if bool in kinds:
            yield option
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _switches(kind, f"{option}.")


def _as_switches(arguments: Sequence[str], switches: Container[str]) -> list[str]:
    """Return the arguments with `--report false` and `--report=false` as `--no-report`, and so for `true`."""
    result: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if name in switches and not equals and waiting and waiting[0] in SAID:
            value = waiting.pop(0)
        result.append(SAID[value].format(name[2:]) if name in switches and value in SAID else argument)
    return result


def _with_hyphens(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value
