"""Cost of the split and balance of its parts, compared with a package and with the algorithm of the paper.

    python benchmarks/split.py [FOLDER] [--rows 240000 ...] [--plot FILE]

The label sets are those of the cleaned listings in FOLDER (default: of the generated sample), once at their own size
and once repeated until there are enough rows. Each method divides the rows into the three parts, each part into five
folds, and train into the development subset and the rest, as the split stage does:

- `genreflow` is `tasks.split.stratify`; `with groups` gives every twentieth row the text of the row before;
- `iterative-stratification` is the package of that name, if it is installed;
- `paper` is algorithm 1 of Sechidis, Tsoumakas and Vlahavas 2011, implemented literally.

CPU seconds are those of the calls alone. A difference is the largest difference between a genre's share in a part and
in all divided rows, in percentage points; `fewest` is the smallest number of rows of any genre in any part or fold.
Times depend on the machine: compare those of one run only.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from cost_picture import write_costs
from numpy.typing import NDArray

from tasks.acquire.sample import write_sample
from tasks.clean.movies import clean_movies
from tasks.clean.profiles import CleanConfig
from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import DataPaths
from tasks.split.stratify import stratify

Labels = NDArray[np.bool_]
Parts = NDArray[np.integer[Any]]
Divide = Callable[[Labels, Sequence[float], NDArray[np.int64]], Parts]  # of labels, shares and groups

PARTS = {"train": 0.8, "validation": 0.1, "test": 0.1}
FOLDS = [0.2] * 5
DEVELOPMENT = [0.9, 0.1]
SAMPLE_MOVIES = 24_000


def divide_as_in_the_paper(Y: Labels, shares: Sequence[float], _groups: NDArray[np.int64]) -> Parts:
    """Algorithm 1: the rarest label first, each of its rows to the part that needs most rows of that label."""
    random = np.random.default_rng(DEFAULT_SEED)
    wants_rows, wants = np.array(shares) * len(Y), np.outer(shares, Y.sum(axis=0))
    parts, left = np.full(len(Y), -1), np.ones(len(Y), dtype=np.bool_)
    while left.any():
        remaining = Y[left].sum(axis=0)
        if not remaining.any():
            parts[left] = random.choice(len(shares), left.sum(), p=shares)
            break
        label = np.where(remaining > 0, remaining, len(Y) + 1).argmin()
        rows = np.flatnonzero(left & Y[:, label])
        for row in rows:
            most = np.flatnonzero(wants[:, label] == wants[:, label].max())
            if len(most) > 1:
                most = most[wants_rows[most] == wants_rows[most].max()]
            part = most[0] if len(most) == 1 else random.choice(most)
            parts[row] = part
            wants[part, Y[row]] -= 1
            wants_rows[part] -= 1
        left[rows] = False
    return parts


def divide_with_the_package(Y: Labels, shares: Sequence[float], _groups: NDArray[np.int64]) -> Parts:
    """Call the function behind the package's cross-validators, which can make parts of different sizes."""
    from iterstrat.ml_stratifiers import IterativeStratification  # noqa: PLC0415 - may not be there

    return IterativeStratification(Y, np.array(shares), np.random.RandomState(DEFAULT_SEED))


WAYS: dict[str, Divide] = {
    "genreflow": lambda Y, shares, _groups: stratify(Y, shares, DEFAULT_SEED),
    "genreflow, with groups": lambda Y, shares, groups: stratify(Y, shares, DEFAULT_SEED, groups),
    "iterative-stratification": divide_with_the_package,
    "paper": divide_as_in_the_paper,
}


def read_labels(source: Path | None) -> Labels:
    """Clean the listings and return which movie has which genre."""
    with tempfile.TemporaryDirectory() as folder:
        paths = DataPaths(Path(folder))
        if source is None:
            paths.raw.mkdir()
            write_sample(paths.raw, SAMPLE_MOVIES, DEFAULT_SEED)
        else:
            paths.raw.symlink_to(source.resolve())
        clean_movies(paths, CleanConfig())
        genres = pl.read_parquet(paths.movies, columns=["genres"]).to_series()
    names = genres.explode().unique().sort()
    return np.column_stack([genres.list.contains(name).to_numpy() for name in names])


def measure(way: str, Y: Labels) -> dict[str, Any]:
    """Divide all rows as the split stage does; return CPU seconds and largest differences."""
    divide, numbers = WAYS[way], np.arange(len(Y))
    groups = numbers - (numbers % 20 == 1)
    start_s = time.process_time()
    part = divide(Y, list(PARTS.values()), groups)
    members = {name: part == number for number, name in enumerate(PARTS)}
    folds = {name: divide(Y[rows], FOLDS, groups[rows]) for name, rows in members.items()}
    development = divide(Y[members["train"]], DEVELOPMENT, groups[members["train"]])
    cpu_s = time.process_time() - start_s
    return {
        "way": way,
        "rows": len(Y),
        "cpu_s": round(cpu_s, 2),
        **{name: difference(Y, rows) for name, rows in members.items()},
        "development": difference(Y[members["train"]], development == 1),
        **{
            f"folds of {name}": max(difference(Y[rows], folds[name] == fold) for fold in range(len(FOLDS)))
            for name, rows in members.items()
        },
        "fewest": min(
            int(Y[rows][folds[name] == fold].sum(axis=0).min())
            for name, rows in members.items()
            for fold in range(len(FOLDS))
        ),
    }


def difference(Y: Labels, rows: NDArray[np.bool_]) -> float:
    """Return the largest difference between a label's share in some rows and in all, in percentage points."""
    return round(100 * float(np.abs(Y[rows].mean(axis=0) - Y.mean(axis=0)).max()), 4)


def main() -> None:
    """Measure each method at both sizes and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rows", nargs="+", type=int, default=[240_000], help="several sizes")
    parser.add_argument("--plot", type=Path, help="write FILE.svg and FILE.png")
    options = parser.parse_args()
    labels = read_labels(options.folder)
    ways = [way for way in WAYS if way != "iterative-stratification" or find_spec("iterstrat")]
    repeated = [labels[np.arange(rows) % len(labels)] for rows in options.rows]
    results = [measure(way, Y) for Y in (labels, *repeated) for way in ways]
    columns = [name.rjust(8) for name in list(results[0])[1:]]
    print(f"{'way':26}" + "".join(f"{column:>{len(column) + 2}}" for column in columns))
    for result in results:
        print(f"{result['way']:26}" + "".join(f"{result[column.strip()]:>{len(column) + 2},}" for column in columns))
    if options.plot:
        write_costs(options.plot, "Splitting", results, {"cpu_s": "CPU seconds"})
    source = options.folder.name if options.folder else "sample"
    print(json.dumps({"machine": platform.machine(), "labels": labels.shape[1], "source": source, "results": results}))


if __name__ == "__main__":
    main()
