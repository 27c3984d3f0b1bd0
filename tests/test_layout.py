"""The layout's promises: names that shadow nothing, packages that import nothing, help that loads nothing heavy."""

import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

import genreflow
from tasks.core.settings import PROJECT_ROOT

FLOWS = sorted(path for path in (PROJECT_ROOT / "flows").glob("*.py") if path.name != "__init__.py")
COMMANDS = [path for path in FLOWS if "raise SystemExit(run_command(" in path.read_text(encoding="utf-8")]
PACKAGES = sorted(path.parent for path in (PROJECT_ROOT / "tasks").glob("*/__init__.py"))


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_no_flow_shadows_an_installed_module(path):
    # `python flows/x.py` puts flows/ at the head of sys.path, so its modules hide all others of their names
    assert path.stem not in sys.stdlib_module_names
    assert importlib.util.find_spec(path.stem) is None


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_opens_with_a_docstring_and_imports_nothing(package):
    code = compile((package / "__init__.py").read_text(encoding="utf-8"), package.name, "exec")
    assert code.co_consts[0]
    assert isinstance(code.co_consts[0], str)
    assert "import" not in (package / "__init__.py").read_text(encoding="utf-8").split('"""')[2]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_logs_under_its_own_name(path):
    # As a command it is `__main__`, and on a worker Prefect names it after its file: neither is among what is logged
    assert "getLogger(__name__)" not in path.read_text(encoding="utf-8")


HEAVY = ("prefect", "mlflow", "torch", "spacy", "sklearn", "matplotlib", "pandas", "gradio")


def test_commands_are_found():
    assert {path.stem for path in COMMANDS} >= {
        "acquire", "prepare", "explore", "train", "compare", "predict", "cross_validate", "search", "audit",
    }  # fmt: skip


def test_help_loads_nothing_heavy_fits_a_screen_and_shows_defaults(tmp_path):
    probe = (
        "import contextlib, io, json, runpy, sys\n"
        "for path in sys.argv[1:]:\n"
        "    texts = []\n"
        "    for option in ('--help', '--help-all'):\n"
        "        sys.argv = [path, option]\n"
        "        with contextlib.redirect_stdout(io.StringIO()) as output:\n"
        "            try:\n"
        "                code = runpy.run_path(path, run_name='__main__')\n"
        "            except SystemExit as end:\n"
        "                assert end.code == 0\n"
        "        texts.append(output.getvalue())\n"
        "    heavy = set(HEAVY) & {name.split('.')[0] for name in sys.modules}\n"
        "    print(json.dumps([path, *texts, sorted(heavy)]))\n"
    )
    command = [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{probe}", *map(str, COMMANDS)]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = {path: (short, full, heavy) for path, short, full, heavy in map(json.loads, done.stdout.splitlines())}
    assert list(found) == [str(path) for path in COMMANDS]
    for short, full, heavy in found.values():
        assert heavy == []
        assert "default: " in " ".join(short.split())
        assert "Examples:" in short
        assert short.count("\n") <= 42
        assert "(default: False)" in " ".join(full.split())


def test_the_console_command_lists_and_runs_every_command(tmp_path):
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        script = "import sys, genreflow; sys.argv[0] = 'genreflow'; sys.exit(genreflow.main())"
        command = [sys.executable, "-c", script, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert set(genreflow.COMMANDS.values()) == {path.stem for path in COMMANDS}
    listed = run().stdout
    assert all(f"\n  {command} " in listed for command in genreflow.COMMANDS)
    assert run("--version").stdout == f"genreflow {version('genreflow')}\n"
    assert "usage: genreflow cross-validate [OPTION]..." in run("cross-validate", "--help").stdout
    unknown = run("trian")
    assert (unknown.returncode, unknown.stderr) == (2, "error: unknown command trian; did you mean train?\n")
    missing = run("run", "--source", "nowhere")
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: --source: there is no file or folder nowhere")
    assert missing.stderr.count("\n") == 1


def test_importing_the_package_is_cheap_and_offers_its_names():
    script = "import sys, genreflow; print({'numpy', 'polars', 'sklearn', 'flows'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert all(callable(getattr(genreflow, name)) for name in genreflow.__all__)
    assert set(genreflow.__all__) <= set(dir(genreflow))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = genreflow.nothing
