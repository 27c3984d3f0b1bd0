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
import shutil
import signal
import sys
import threading
import traceback
from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsError
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from flows.config import PRESETS, FlowConfig, HelpGroup, check_source, merged, read_options
from tasks.core import logs
from tasks.core.errors import ConfigError, GenreflowError, validation_messages
from tasks.core.logs import Progress, SafeFormatter, hide_in_records, hide_secrets, printable
from tasks.core.settings import data_paths

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FlowConfig)

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
SIGNAL_EXIT_CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}  # the shell's convention
INTERRUPTED: Final = "interrupted; run the same command again to continue"
UNWIND_S: Final = 5.0  # for the flow to unwind after a signal

# Loggers whose warnings are hidden. Prefect repeats, with a traceback, the error that the command prints in one line;
# its services warn about events that they still send after a run has ended.
HIDDEN_LOGGERS: Final = ("prefect.flow_runs", "prefect.task_runs", "EventsWorker", "APILogWorker")

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

WIDTH: Final = 100  # columns of help, at most
LISTS: Final = {"models": "--list-models", "preset": "--list-presets"}  # by the field that takes the names
EXAMPLES: Final = Path(__file__).with_name("examples.yaml")  # by configuration
CONFIG_HELP: Final = "YAML file with options; the command line overrides it."

SWITCH_FORMS: Final = {"true": "--{}", "false": "--no-{}"}
DEFAULT: Final = re.compile(r" Default: (.*)\.$")  # in descriptions
_NO_DEFAULT: Final = tuple(f" (default: {value})" for value in ("none", "None", "()", "{}"))

# Actions to run when a signal ends the process, last added first. Code that adds one removes it when done.
at_stop: list[Callable[[], None]] = []


def run_command(config_type: type[Config], run: str | Callable[[Config], int]) -> int:
    """Parse the command line, run what it asks for, and return the process's exit code.

    `run` is the flow as "module:name", or a function of the configuration that returns an exit code. Errors that the
    user can fix are printed as one line; anything else keeps its traceback. Neither shows a secret.
    """
    sys.excepthook = lambda *error: sys.stderr.write(hide_secrets("".join(traceback.format_exception(*error))))
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
        from tasks.acquire import listings

        listings.check_source(paths, source)
    logger.info("starting Prefect and MLflow, which takes some seconds")
    from prefect import flow_engine

    from flows.run_context import prefect_server

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
        from flows.run_context import as_user_error

        if (user_error := as_user_error(error)) is None:
            raise
        raise user_error from error


def _print_error(message: str) -> None:
    """Print an error to standard error; characters that cannot be encoded, such as lone surrogates, are escaped."""
    line = f"error: {hide_secrets(printable(message))}\n"
    sys.stderr.write(line.encode("utf-8", "backslashreplace").decode("utf-8"))


def parse_command(config_type: type[Config], arguments: Sequence[str]) -> Config:
    """Return the configuration from a command line, or exit: 0 after `--help`, 2 after an error.

    Options override `--config FILE.yaml`, which overrides the preset, which overrides the defaults. Words in option
    names are joined by "-" or "_". A switch is `--report`, `--no-report`, or as in a YAML file `--report true`,
    `--report false`.
    """
    arguments = [re.sub("^--[^=]+", lambda name: name[0].replace("_", "-"), argument) for argument in arguments]
    lists = [option for field, option in LISTS.items() if field in config_type.model_fields]
    answers = {"--help": short_help, "-h": short_help, "--list-models": list_models, "--list-presets": list_presets}
    for option in ("--help", "-h", *lists):
        if option in arguments:
            sys.stdout.write(answers[option](config_type))
            sys.exit(EXIT_OK)
    try:
        _check_names(arguments, ["--config", "--help", "--help-all", *lists], dict(_option_names(config_type)))
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


def _given_options(config_type: type[BaseModel], arguments: Sequence[str]) -> dict[str, Any]:
    switches = {name for name, is_switch in _option_names(config_type) if is_switch}
    words: list[str] = []
    waiting = list(arguments)
    while waiting:  # `--report false` and `--report=false` mean `--no-report`, and so for `true`
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if name in switches and not equals and waiting and waiting[0] in SWITCH_FORMS:
            value = waiting.pop(0)
        is_form = name in switches and value in SWITCH_FORMS
        words.append(SWITCH_FORMS[value].format(name[2:]) if is_form else argument)
    file = Field(None, description=CONFIG_HELP)
    model = create_model(config_type.__name__, __base__=(config_type, BaseSettings), config=(Path | None, file))
    options: CliSettingsSource[Any] = CliSettingsSource(
        cast("type[BaseSettings]", model),
        cli_prog_name=command_name(),
        cli_parse_args=words,
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_parse_none_str="none",
        cli_exit_on_error=False,
        formatter_class=_HelpFormatter,
    )
    return dict(options())


class _HelpFormatter(RawDescriptionHelpFormatter):
    """Shows each default once, as in the short help, and none where an option has no value."""

    def add_argument(self, action: Action) -> None:
        """Add an option."""
        if action.help and action.help.endswith(_NO_DEFAULT):
            about = action.help.removesuffix(next(filter(action.help.endswith, _NO_DEFAULT)))
            action.help = DEFAULT.sub(r" (default: \1)", about)
        super().add_argument(action)


def _option_names(config_type: type[BaseModel], prefix: str = "--") -> Iterator[tuple[str, bool]]:
    """Yield the names of all options, including nested ones, and whether each is a switch."""
    for name, field in config_type.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        option = prefix + name.replace("_", "-")
        yield option, bool in kinds
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _option_names(kind, f"{option}.")


def _check_names(arguments: Sequence[str], special: Sequence[str], options: Mapping[str, bool]) -> None:
    """Refuse an option that does not exist, and suggest the closest one; a prefix of an option is accepted."""
    known = [*special, *options, *(f"--no-{name[2:]}" for name, is_switch in options.items() if is_switch)]
    for argument in arguments:
        name = argument.partition("=")[0]
        if re.fullmatch(r"--\S+", name) and not any(option.startswith(name) for option in known):
            close = get_close_matches(name, known, n=1)
            raise ConfigError(f"unknown option {name}; {f'did you mean {close[0]}?' if close else 'see --help'}")


def short_help(config_type: type[FlowConfig]) -> str:
    """Return a screen of help: the fields marked with the title of a group, and examples."""
    command = command_name()
    lists = "".join(f", {option}" for field, option in LISTS.items() if field in config_type.model_fields)
    given = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8")).get(config_type.__name__, [])
    examples = "\n".join(f"  {command} {example}".rstrip() for example in given)
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    parser = ArgumentParser(
        usage=f"{command} [OPTION]...",
        description=config_type.__doc__,
        epilog=f"Examples:\n{examples}\n\nMore: --help-all (all options){lists}",
        formatter_class=partial(RawDescriptionHelpFormatter, max_help_position=28, width=width),
        add_help=False,
    )
    groups = {title: parser.add_argument_group(title) for title in ("Data", "Models", "Run", "Results")}
    marked = [(mark, *item) for item in config_type.model_fields.items() for mark in item[1].metadata]
    shown = [each for each in marked if isinstance(each[0], HelpGroup) and each[0].title]
    for group, name, field in sorted(shown, key=lambda each: each[0]):
        option, about = f"--{name.replace('_', '-')}", _description(field).replace("%", "%%")
        if field.annotation is bool:
            option = f"--[no-]{option[2:]}" if field.default else option
            groups[group.title].add_argument(option, action="store_true", help=about)
        else:
            groups[group.title].add_argument(option, metavar=_value_name(field.annotation), help=about)
    groups["Run"].add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    return parser.format_help()


def _description(field: FieldInfo) -> str:
    text = DEFAULT.sub(r" (default: \1)", field.description or "")
    if field.is_required():
        return f"{text} (required)"
    if field.annotation is bool:
        return f"{text} (default: yes)" if field.default else text
    choices = map(str, get_args(field.annotation) if get_origin(field.annotation) is Literal else ())
    notes = [" or ".join(", ".join(choices).rsplit(", ", 1))]
    notes += [] if field.default in (None, (), {}) else [f"default: {field.default}"]
    return f"{text} ({'; '.join(filter(None, notes))})" if any(notes) else text


def _value_name(annotation: Any) -> str:
    kind = get_args(annotation)[0] if type(None) in get_args(annotation) else annotation
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    names = {int: "N", float: "NUMBER", str: "TEXT", Path: "FILE", tuple: "NAME,...", dict: "JSON", Literal: "NAME"}
    return names[get_origin(kind) or kind]


def list_models(_config_type: type[FlowConfig]) -> str:
    """Return a line for each model of the registry: its name, and its parts."""
    from tasks.models.registry import built_in_models
    from tasks.models.spec import shown_params

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


def list_presets(_config_type: type[FlowConfig]) -> str:
    """Return a line for each preset: its name, and the first sentence of the comment at its top."""
    lines = []
    for path in sorted(PRESETS.glob("*.yaml")):
        comment = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8"))
        words = " ".join(comment[0].replace("#", "").split()) if comment else ""
        lines.append(f"{path.stem:<16}{words.partition('. ')[0].rstrip('.')}\n")
    return "".join(lines)


def log_to_console(verbose: bool) -> None:
    """Log the stages' progress and other packages' warnings to standard error; everything if `verbose`.

    A terminal shows a bar for work in progress. Prefect does not change a root logger that has a formatted handler, so
    its own lines go through the same filter.
    """
    handler: logging.Handler = logging.StreamHandler()
    if sys.stderr.isatty():
        handler = Terminal(Console(stderr=True))
        atexit.register(handler.bars.stop)  # erases unfinished bars, as after an error, and restores the cursor
        logs.watchers.append(handler)
    hide_in_records()
    handler.setFormatter(SafeFormatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    ours = ("flows", "tasks")
    handler.addFilter(
        lambda record: (
            verbose
            or record.name.startswith(ours)
            or (record.levelno >= logging.WARNING and not record.name.startswith(HIDDEN_LOGGERS))
        )
    )
    logging.getLogger().addHandler(handler)
    for name in ours:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)


class Terminal(logging.Handler):
    """Prints log records above progress bars, one per piece of work; also a watcher of `tasks.core.logs`."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        rate_and_rest = (TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        self.bars = Bars(*columns, *rate_and_rest, console=console, transient=True)
        self._shown: dict[Progress, TaskID] = {}
        self._lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, unless it is of progress, which the bars show."""
        if record.name != logs.__name__:
            self.bars.console.print(Text(self.format(record)), soft_wrap=True)

    def __call__(self, progress: Progress) -> None:
        """Update the bar of a piece of work; remove it when the work is finished."""
        with self._lock:
            bar = self._shown.get(progress)
            if progress.is_finished:
                if bar is not None:
                    self.bars.remove_task(self._shown.pop(progress))
                if not self._shown:
                    self.bars.stop()
                return
            if bar is None:
                bar = self._shown[progress] = self.bars.add_task(progress.what, total=progress.total, rate="")
                self.bars.start()
            rate = progress.done / max(progress.clock() - progress.start_s, 1e-9)
            self.bars.update(bar, completed=progress.done, total=progress.total, rate=f"{rate:,.0f}/s")


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
    """End the process whether or not other threads are done, after the actions in `at_stop`, or 10 s."""
    cleaning = threading.Thread(target=_clean_up, daemon=True)
    cleaning.start()
    cleaning.join(10)
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
