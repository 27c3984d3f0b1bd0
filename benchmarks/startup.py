"""How long each command takes to answer `--help`.

    python benchmarks/startup.py [--times 3]

Each command is started `--times` times and its fastest answer counts, because other work on the machine slows the
others. Wall time includes the start of Python.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

FLOWS = Path(__file__).resolve().parents[1] / "flows"
GOAL_S = 4.0


def help_s(command: Path) -> float:
    """Return the seconds that a command takes to show its options."""
    start_s = time.perf_counter()
    subprocess.run([sys.executable, str(command), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start_s


def main() -> None:
    """Measure all commands, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    commands = sorted(path for path in FLOWS.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8"))
    found = {path.stem: round(min(help_s(path) for _ in range(times)), 2) for path in commands}
    for name, seconds in found.items():
        print(f"{name:16} {seconds:6.2f} s{'' if seconds < GOAL_S else f'   more than {GOAL_S:.0f} s'}")
    print(json.dumps({"benchmark": "startup", "help_s": found, "goal_s": GOAL_S}))


if __name__ == "__main__":
    main()
