"""The layout's promises: names that shadow nothing, rooms that import nothing, help that loads nothing heavy."""

import importlib.util
import json
import subprocess
import sys

import pytest

from tasks.core.settings import PROJECT_ROOT

FLOWS = sorted(path for path in (PROJECT_ROOT / "flows").glob("*.py") if path.name != "__init__.py")
COMMANDS = [path for path in FLOWS if "raise SystemExit(run_command(" in path.read_text(encoding="utf-8")]
ROOMS = sorted(path.parent for path in (PROJECT_ROOT / "tasks").glob("*/__init__.py"))


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_no_flow_shadows_an_installed_module(path):
    # `python flows/x.py` puts flows/ at the head of sys.path, so its modules hide all others of their names
    assert path.stem not in sys.stdlib_module_names
    assert importlib.util.find_spec(path.stem) is None


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_opens_with_a_docstring_and_imports_nothing(room):
    code = compile((room / "__init__.py").read_text(encoding="utf-8"), room.name, "exec")
    assert code.co_consts[0]
    assert isinstance(code.co_consts[0], str)
    assert "import" not in (room / "__init__.py").read_text(encoding="utf-8").split('"""')[2]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_logs_under_its_own_name(path):
    # As a command it is `__main__`, and on a worker Prefect names it after its file: neither is among what is logged
    assert "getLogger(__name__)" not in path.read_text(encoding="utf-8")


HEAVY = ("prefect", "mlflow", "torch", "spacy", "sklearn", "matplotlib", "pandas", "gradio")


def test_commands_are_found():
    assert {path.stem for path in COMMANDS} >= {
        "acquire", "prepare", "explore", "train", "compare", "predict", "cross_validate", "search", "audit",
    }  # fmt: skip


def test_help_loads_nothing_heavy_and_shows_defaults(tmp_path):
    probe = (
        "import contextlib, io, json, runpy, sys\n"
        "for path in sys.argv[1:]:\n"
        "    sys.argv = [path, '--help']\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as said:\n"
        "        try:\n"
        "            code = runpy.run_path(path, run_name='__main__')\n"
        "        except SystemExit as end:\n"
        "            code = end.code\n"
        "    heavy = set(HEAVY) & {name.split('.')[0] for name in sys.modules}\n"
        "    print(json.dumps([path, code, '(default: False)' in ' '.join(said.getvalue().split()), sorted(heavy)]))\n"
    )
    command = [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{probe}", *map(str, COMMANDS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[str(path), 0, True, []] for path in COMMANDS]
