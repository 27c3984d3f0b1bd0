"""The environment in which the peers run, made with venv and pip."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FASTTEXT = "fasttext==0.9.3"  # by itself: it is built from source, and LibMultiLabel is worth having without it
IMPORTS = {"libmultilabel": "libmultilabel.linear", "fasttext": "fasttext"}


@dataclass(frozen=True)
class PeerEnvironment:
    """An interpreter and which peers it can import."""

    python: Path
    missing: dict[str, str]  # peer: why it is not there


def make_environment(folder: Path) -> PeerEnvironment:
    """Make the environment in a folder, or complete an existing one; report which peers it lacks, and why."""
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        print(f"making an environment for the peers in {folder}; this takes minutes", file=sys.stderr)
        if refusal := _refusal(sys.executable, "-m", "venv", str(folder)):
            return PeerEnvironment(python, dict.fromkeys(IMPORTS, refusal))
    wanted = {"libmultilabel": ["--requirement", str(REQUIREMENTS)], "fasttext": [FASTTEXT]}
    missing = {}
    for peer, module in IMPORTS.items():
        if not _refusal(str(python), "-c", f"import {module}"):
            continue
        said = _refusal(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted[peer])
        said = said or _refusal(str(python), "-c", f"import {module}")
        if said:
            missing[peer] = said
    return PeerEnvironment(python, missing)


def _refusal(*command: str) -> str:
    """Run a command; return the last line of its error output if it failed, else nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return lines[-1] if done.returncode else ""
