"""Run the benchmarks one after another; write one JSON file, one table and one picture.

    python benchmarks/suite.py [FOLDER] [--size quick|usual|scale] [--only NAME ...] [--output FOLDER]

Without listings the scripts use the embedded sample, and the table says so. `results.json` holds the machine, versions,
a hash of the listings and the revision; and for each script its arguments, exit code, wall time, CPU time, peak of the
resident set with all its processes, and the line of JSON that it printed. `results.md` is a table of these costs with
the output of each script (`<name>.txt`) below it; `results.svg` and `results.png` show wall and CPU time. A script that
fails is reported and recorded, the others continue, and the exit code is 1.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import watch_memory

from tasks.core.files import hash_files
from tasks.tracking.runs import git_revision

HERE = Path(__file__).parent
LISTINGS = "LISTINGS"  # stands for what is given; left out where the sample is taken
ROWS = {"quick": ["33000"], "usual": ["33000", "330000"], "scale": ["330000", "3300000"]}
DOCUMENTS = {"quick": ["11000"], "usual": ["11000", "33000"], "scale": ["330000", "1000000"]}
MOVIES = {"quick": ["24000"], "usual": ["240000"], "scale": ["240000", "1000000"]}
SCORED = {"quick": ["20000"], "usual": ["100000"], "scale": ["1000000"]}
PACKAGES = ("mlflow", "numpy", "polars", "prefect", "scikit-learn", "scipy", "spacy", "torch")


def scripts(size: str) -> dict[str, list[str]]:
    """Return the arguments of each script that a size runs, in their order."""
    chosen = {
        "startup": [],
        "pipeline": [LISTINGS],
        "clean": [LISTINGS, "--rows", *ROWS[size]],
        "split": [LISTINGS, "--rows", *MOVIES[size]],
    }
    if size != "quick":
        chosen["annotate"] = [LISTINGS, "--rows", *DOCUMENTS[size]]
        chosen["predict"] = [LISTINGS, "--rows", *SCORED[size]]
    if size == "scale":
        chosen["scaling"] = ["--movies", "20000", "200000"]
    if size == "usual":
        chosen |= {
            "overhead": ["--preset", "quick"],
            "compare": [],
            "report": [],
            "models": [LISTINGS, "--parts", "comparison"],
            "crawl": ["speed"],
            "first_run": [],
        }
    return chosen


def measure(name: str, arguments: Sequence[str], output: Path) -> dict[str, Any]:
    """Run a script, keep its output, and return its cost and its line of JSON."""
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    readings: list[tuple[float, float]] = []
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (output / f"{name}.txt").open("w", encoding="utf-8") as text:
        process = subprocess.Popen(command, stdout=text)
        watcher = threading.Thread(target=watch_memory, args=(process.pid, readings), daemon=True)
        watcher.start()
        code = process.wait()
    wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "arguments": [Path(argument).name if argument.startswith("/") else argument for argument in arguments],
        "exit_code": code,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mb": round(max((megabytes for _, megabytes in list(readings)), default=0)),
        "measured": last_json(output / f"{name}.txt"),
    }


def last_json(file: Path) -> Any:
    """Return the last line of a text that is JSON; None if there is none."""
    for line in reversed(file.read_text(encoding="utf-8").splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return None


def facts(source: Path | None, size: str) -> dict[str, Any]:
    """Return the facts that the figures depend on."""
    files = [] if source is None else sorted(source.glob("*.csv"))
    return {
        "size": size,
        "data": source.name if source else "embedded sample",
        "data_hash": hash_files(files)[:16] if files else None,
        "revision": git_revision(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def table(report: Mapping[str, Any]) -> str:
    """Return the costs of all scripts as a Markdown table, after the facts that they depend on."""
    known = report["facts"]
    what = f"{known['data']} (hash {known['data_hash'] or 'none'}), size {known['size']}, revision {known['revision']}"
    where = f"{known['cores']} {known['machine']} cores, load {known['load_before']} before, Python {known['python']}"
    lines = [
        f"{what}; {where}",
        "",
        "| script | arguments | wall s | CPU s | peak MB | exit code |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, cost in report["scripts"].items():
        asked = " ".join(cost["arguments"])
        lines.append(
            f"| {name} | {asked} | {cost['wall_s']:,} | {cost['cpu_s']:,} | {cost['peak_mb']:,} | {cost['exit_code']} |"
        )
    return "\n".join(lines) + "\n"


def texts(names: Iterable[str], folder: Path) -> str:
    """Return the readable output of each script, under its name."""
    parts = []
    for name in names:
        lines = (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        said = "\n".join(line for line in lines if not line.startswith("{")).strip("\n")
        parts.append(f"\n## {name}\n\n```\n{said}\n```\n")
    return "".join(parts)


def draw(report: Mapping[str, Any], folder: Path) -> None:
    """Draw wall and CPU time of each script."""
    from tasks.core.figures import BLUE, ORANGE, Figure, new_figure, write_picture  # noqa: PLC0415

    def costs() -> Figure:
        figure = new_figure(7, 0.8 + 0.45 * len(report["scripts"]))
        axes = figure.subplots()
        for offset, key, label, colour in ((-0.2, "wall_s", "wall", BLUE), (0.2, "cpu_s", "CPU", ORANGE)):
            places = [place + offset for place in range(len(report["scripts"]))]
            seconds = [cost[key] for cost in report["scripts"].values()]
            axes.barh(places, seconds, height=0.4, label=label, color=colour)
        axes.set_yticks(range(len(report["scripts"])), list(report["scripts"]))
        axes.invert_yaxis()
        axes.set_xlabel("seconds")
        axes.legend()
        return figure

    write_picture(folder, "results", costs)


def main() -> int:
    """Run the chosen scripts; return 0 if all of them succeeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path, metavar="FOLDER", help="real listings; without: the sample")
    parser.add_argument("--size", choices=("quick", "usual", "scale"), default="usual")
    parser.add_argument("--only", nargs="+", help="names of scripts")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder to write to")
    options = parser.parse_args()
    if options.source and not any(options.source.glob("*.csv")):
        parser.error(f"{options.source} is no folder with CSVs; unpack a zip before")
    options.output.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"facts": facts(options.source, options.size), "scripts": {}}
    for name, asked in scripts(options.size).items():
        if options.only and name not in options.only:
            continue
        given = [str(options.source.absolute())] if options.source else []
        arguments = [part for argument in asked for part in (given if argument == LISTINGS else [argument])]
        print(f"{name} {' '.join(arguments)}", flush=True)
        report["scripts"][name] = measure(name, arguments, options.output)
        (options.output / "results.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (options.output / "results.md").write_text(
        table(report) + texts(report["scripts"], options.output), encoding="utf-8"
    )
    draw(report, options.output)
    print(table(report))
    return int(any(cost["exit_code"] for cost in report["scripts"].values()))


if __name__ == "__main__":
    sys.exit(main())
