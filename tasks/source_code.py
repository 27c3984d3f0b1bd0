"""The code that a result rests on: the modules of this project that its own module imports, directly or not.

Found from the imports, not listed by hand. Left out are the frame, whose changes change no result, and tables: modules
that only list or declare what there is to choose from. A stage adds what it uses of a table by itself.
"""

import ast
import hashlib
import io
import threading
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[1]
FRAME: Final = frozenset(
    f"tasks/{name}.py"
    for name in ("disk", "errors", "extras", "hashes", "log_file", "mistakes", "paths", "processes", "progress")
) | frozenset(f"tasks/{name}.py" for name in ("redaction", "settings", "source_code", "stage", "cluster"))
DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_parsing = threading.Lock()  # Python 3.11 counts the depth of a tree for all threads together
TABLE_MARK: Final = "IS_A_TABLE"  # a module that assigns this name is a table


def code_of(entries: Iterable[Path]) -> list[Path]:
    """Return the files that entries stand for, sorted: modules with all that they import, and other files."""
    found: set[Path] = set()
    waiting = [entry.resolve() for entry in entries]
    while waiting:
        path = waiting.pop()
        if path in found or _is_frame(path):
            continue
        if path.suffix != ".py":
            found.add(path)
        elif not is_table(path):
            found.add(path)
            waiting += imports_of(path)
    return sorted(found)


def import_closure(entry: Path) -> set[Path]:
    """Return a module of this project and all that it imports, directly or not, frame and tables among them."""
    found, waiting = {entry}, [entry]
    while waiting:
        new = set(imports_of(waiting.pop())) - found
        found |= new
        waiting += new
    return found


def hash_code(entries: Iterable[Path]) -> str:
    """Return one SHA-256 over the code of entries, comments, docstrings and blank lines aside."""
    digest = hashlib.sha256()
    for path in code_of(entries):
        content = essence(_read(path)).encode() if path.suffix == ".py" else path.read_bytes()
        name = path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path.name
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def imports_of(path: Path) -> list[Path]:
    """Return the files of this project that a module imports, also in its functions, but not for types alone."""
    return sorted({file for name in _imported(_tree(_read(path))) if (file := _file_of(name)) is not None})


def is_table(path: Path) -> bool:
    """Return whether a module only lists or declares what there is to choose from."""
    assigned = [node for node in _tree(_read(path)).body if isinstance(node, ast.AnnAssign)]
    return any(isinstance(node.target, ast.Name) and node.target.id == TABLE_MARK for node in assigned)


@cache
def essence(source: str) -> str:
    """Return a module's source without comments, docstrings and blank lines: the same on every version of Python."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(_tree(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            text = node.body[0]
            for row in range(text.lineno, (text.end_lineno or text.lineno) + 1):
                lines[row - 1] = ""
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


def _is_frame(path: Path) -> bool:
    return path.is_relative_to(PROJECT) and path.relative_to(PROJECT).as_posix() in FRAME


@cache
def _tree(source: str) -> ast.Module:
    with _parsing:
        try:
            return ast.parse(source)
        except SystemError:  # another package parsed at the same time
            return ast.parse(source)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
