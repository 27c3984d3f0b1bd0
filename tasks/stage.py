"""A stage of the pipeline: files in, files out.

A stage is skipped if its inputs' contents, its config and its code are unchanged and its outputs are intact. The code
is every module that its own module imports, directly or not, except the framework, which does not affect results, and
tables: modules that only list or declare what can be chosen. A stage adds what it uses of a table itself.

Outputs are written and synced under temporary names, then renamed; the sidecar with their hashes comes last. So a
killed run leaves either the old outputs or ones that the next run writes again, never a half.
"""

import ast
import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
import threading
import time
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from tasks.core.errors import DataError, disk_error
from tasks.core.files import hash_file

logger = logging.getLogger(__name__)

PROJECT: Final = Path(__file__).resolve().parents[1]
FRAMEWORK: Final = frozenset(
    PROJECT / "tasks" / name
    for name in ("core/errors.py", "core/files.py", "core/logs.py", "core/parallel.py", "core/settings.py", "stage.py")
)
TEMPORARY_PREFIX: Final = ".unfinished-"
_parsing = threading.Lock()  # Python 3.11 counts the depth of a tree for all threads together


@dataclass(frozen=True)
class Stage:
    """What identifies a stage's result: its name, inputs, config, code, and packages."""

    name: str
    folder: Path  # of all outputs
    outputs: tuple[str, ...]  # file names relative to `folder`
    inputs: tuple[Path, ...]
    config: Mapping[str, Any]
    code: tuple[Path, ...]  # the modules in which its work starts, and other files that determine the result
    packages: tuple[str, ...] = ()
    removes_old: bool = False  # remove what it wrote earlier and no longer writes; only for pictures

    @property
    def sidecar(self) -> Path:
        """The JSON file with the fingerprint and the outputs' hashes."""
        return self.folder / f"{self.name}.stage.json"


@dataclass(frozen=True)
class StageResult:
    """The location of a stage's outputs, whether it was skipped, its fingerprint, and its counts."""

    name: str
    folder: Path
    fingerprint: str
    skipped: bool
    counts: dict[str, Any] = field(default_factory=dict)


def run_stage(stage: Stage, build: Callable[[Path], Mapping[str, Any]]) -> StageResult:
    """Bring the stage's outputs up to date: skip it if nothing changed, else call `build` and publish what it wrote.

    `build` writes every output, under its relative name, into the folder it is given, and returns counts as JSON values
    (what was read, kept, dropped and why).
    A `DataError` if an input is missing, or was changed since its stage wrote it; a `DiskError` if the folder is full.
    """
    fingerprint, description = _fingerprint(stage)
    recorded = _read_sidecar(stage)
    if recorded is not None and recorded["fingerprint"] == fingerprint and _outputs_are_intact(stage, recorded):
        for left in stage.folder.glob(f"{TEMPORARY_PREFIX}{stage.name}-[0-9]*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        logger.info("%s/%s: unchanged, skipped", stage.folder.name, stage.name)
        return StageResult(stage.name, stage.folder, fingerprint, True, recorded["counts"])
    start_s = time.perf_counter()
    unfinished = stage.folder / f"{TEMPORARY_PREFIX}{stage.name}-{os.getpid()}"
    try:
        remove_unfinished(stage.folder)
        unfinished.mkdir(parents=True)
        counts = dict(build(unfinished))
        _publish(stage, unfinished, {**description, "fingerprint": fingerprint, "counts": counts})
        if stage.removes_old and recorded is not None:
            _remove_unchanged(stage, recorded, stage.outputs)
    except Exception as error:
        if full := disk_error(error, stage.folder, stage.name):
            raise full from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    logger.info("%s/%s: done in %.1f s", stage.folder.name, stage.name, time.perf_counter() - start_s)
    return StageResult(stage.name, stage.folder, fingerprint, False, counts)


def remove_outdated(stage: Stage) -> StageResult:
    """Remove what a stage that is not run now wrote from other inputs; the result has no counts."""
    recorded = _read_sidecar(stage)
    if recorded is None or recorded["fingerprint"] == _fingerprint(stage)[0]:
        return StageResult(stage.name, stage.folder, "", True)
    stage.sidecar.unlink()
    _remove_unchanged(stage, recorded)
    return StageResult(stage.name, stage.folder, "", False)


def recorded_config(folder: Path, stage_name: str) -> dict[str, Any]:
    """Return the config of a stage's outputs in a folder; a `DataError` without an intact sidecar."""
    sidecar = folder / f"{stage_name}.stage.json"
    try:
        return dict(json.loads(sidecar.read_text(encoding="utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{sidecar} is missing or damaged ({error}); run the stage {stage_name} again") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a small file under a temporary name in its folder, sync it, and rename it."""
    with unfinished_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def unfinished_file(target: Path) -> Iterator[Path]:
    """Yield a temporary name in a file's folder; sync and rename the file at the end, or remove it on an error.

    The file is locked meanwhile, so that `is_abandoned` knows whether its writer lives.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{os.getpid()}")
    with temporary.open("wb") as held:
        try:
            with contextlib.suppress(OSError):  # a filesystem without locks
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def is_abandoned(left: Path) -> bool:
    """Return whether a temporary file or folder was left by a process that died.

    The caller holds the data folder's lock, so that nobody else writes folders; files may be written without it.
    """
    if left.is_dir():
        return True
    try:
        with left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:  # a filesystem without locks
        return True
    return True


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files of killed runs in a folder. The caller holds the data folder's lock."""
    for left in filter(is_abandoned, folder.glob(f"{TEMPORARY_PREFIX}*")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def config_dict(config: BaseModel) -> dict[str, Any]:
    """Return a config model as JSON values."""
    return config.model_dump(mode="json")


def _fingerprint(stage: Stage) -> tuple[str, dict[str, Any]]:
    inputs: dict[Path, str] = {}
    for path in sorted(stage.inputs):
        if not path.is_file():
            raise DataError(f"{stage.name} needs {path}, which is missing; run the stage that makes it first")
        inputs[path] = hash_file(path)
        _check_origin(path, inputs[path])
    description = {
        "stage": stage.name,
        "inputs": {f"{path.parent.name}/{path.name}": content for path, content in inputs.items()},
        "config": dict(stage.config),
        "code": hash_code(stage.code),
        "versions": {package: installed_version(package) for package in sorted(stage.packages)},
    }
    text = json.dumps(description, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest(), description


def _check_origin(path: Path, content: str) -> None:
    """Refuse a file that has changed since a stage wrote it; other files may change."""
    recorded: dict[Path, str] = {}
    for folder in (path.parent, path.parent.parent):
        for sidecar in folder.glob("*.stage.json"):
            try:
                outputs = json.loads(sidecar.read_text(encoding="utf-8"))["outputs"]
                recorded[sidecar] = outputs[str(path.relative_to(folder))]
            except (OSError, ValueError, KeyError, TypeError):
                continue  # for another file, or damaged, so that its stage runs again
    if recorded and content not in recorded.values():
        raise DataError(
            f"{path} was damaged or changed since its stage wrote it. Run the flow that makes it again, or delete "
            f"{next(iter(recorded))} to use the file as it is"
        )


def installed_version(package: str) -> str:
    """Return a package's version, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _read_sidecar(stage: Stage) -> dict[str, Any] | None:
    try:
        recorded = json.loads(stage.sidecar.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        logger.warning("%s: sidecar %s cannot be read (%s); the stage runs again", stage.name, stage.sidecar, error)
        return None
    fields = {"fingerprint": str, "outputs": dict, "counts": dict}.items()
    if not isinstance(recorded, dict) or not all(isinstance(recorded.get(name), kind) for name, kind in fields):
        logger.warning("%s: sidecar %s lacks its fields; the stage runs again", stage.name, stage.sidecar)
        return None
    return recorded


def _outputs_are_intact(stage: Stage, recorded: dict[str, Any]) -> bool:
    for name in stage.outputs:
        path, content = stage.folder / name, recorded["outputs"].get(name)
        if content is None:  # not requested before
            return False
        if not path.is_file() or hash_file(path) != content:
            what = "not what the stage wrote" if path.is_file() else "gone"
            logger.warning("%s: %s is %s; the stage runs again", stage.name, path, what)
            return False
    return True


def _publish(stage: Stage, unfinished: Path, record: dict[str, Any]) -> None:
    hashes = {name: hash_file(unfinished / name) for name in stage.outputs}
    stage.sidecar.unlink(missing_ok=True)
    for name in stage.outputs:
        _sync(unfinished / name)
        target = stage.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (unfinished / name).replace(target)
    _sync(stage.folder)
    text = json.dumps({**record, "outputs": hashes}, sort_keys=True, ensure_ascii=False, indent=1)
    write_atomically(stage.sidecar, text + "\n")


def _remove_unchanged(stage: Stage, recorded: dict[str, Any], kept: Sequence[str] = ()) -> None:
    for name, content in recorded["outputs"].items():
        path = stage.folder / name
        if name not in kept and path.is_file() and hash_file(path) == content:
            path.unlink()


def written_by_stages(root: Path) -> list[Path]:
    """Return the files under a folder that stages wrote and nobody changed since, with the stages' sidecars."""
    found: list[Path] = []
    for sidecar in sorted(root.rglob("*.stage.json")):
        recorded = _read_sidecar(Stage(sidecar.name.removesuffix(".stage.json"), sidecar.parent, (), (), {}, (), ()))
        if recorded is not None:
            written = {sidecar.parent / name: content for name, content in recorded["outputs"].items()}
            found += [path for path, content in written.items() if path.is_file() and hash_file(path) == content]
            found.append(sidecar)
    return found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def code_of(entries: Iterable[Path], *, is_complete: bool = False) -> list[Path]:
    """Return the files that entries depend on: modules with their imports; if complete also framework and tables."""
    found: set[Path] = set()
    waiting = [entry.resolve() for entry in entries]
    while waiting:
        path = waiting.pop()
        is_module = path.suffix == ".py"
        if path not in found and (is_complete or not (path in FRAMEWORK or (is_module and is_table(path)))):
            found.add(path)
            waiting += imports_of(path) if is_module else []
    return sorted(found)


def hash_code(entries: Iterable[Path]) -> str:
    """Return one SHA-256 over the code of entries, without comments, docstrings and blank lines."""
    digest = hashlib.sha256()
    for path in code_of(entries):
        content = essence(path.read_text(encoding="utf-8")).encode() if path.suffix == ".py" else path.read_bytes()
        name = path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path.name
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def imports_of(path: Path) -> list[Path]:
    """Return the files of this project that a module imports, also in its functions, but not for types alone."""
    files = map(_file_of, _imported(_tree(path.read_text(encoding="utf-8"))))
    return sorted({*filter(None, files)})


def is_table(path: Path) -> bool:
    """Return whether a module only lists or declares what can be chosen, which it says by assigning `IS_A_TABLE`."""
    body = _tree(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "IS_A_TABLE" for node in body)


@cache
def essence(source: str) -> str:
    """Return a module's source without comments, docstrings and blank lines: the same on every version of Python."""
    lines, documented = source.splitlines(), ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(_tree(source)):
        if isinstance(node, documented) and ast.get_docstring(node):
            first, last = node.body[0].lineno, node.body[0].end_lineno or 0
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if _file_of(deeper) is not None else node.module
        else:
            yield from _imported(node)


def _file_of(module: str) -> Path | None:
    path = PROJECT.joinpath(*module.split(".")).with_suffix(".py")
    return path if module.startswith("tasks.") and path.is_file() else None


@cache
def _tree(source: str) -> ast.Module:
    with _parsing:
        try:
            return ast.parse(source)
        except SystemError:  # another package parsed at the same time
            return ast.parse(source)
