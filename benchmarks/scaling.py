"""Cost of each stage by number of rows: CPU seconds, peak memory and bytes on disk, also per million rows.

    python benchmarks/scaling.py [--movies 20000 200000] [--model svm-fields] [--stages clean annotate ...]

For each size the embedded sample is generated, and each stage runs on it in a fresh process with one worker and one
thread. CPU time is the user and system time of that process, including the start of Python and imports; the peak is its
largest resident set; the disk is the size of the stage's files in the data folder. `growth` is the exponent between a
size and the one before it: 1 is linear in the rows, 2 quadratic. The sample has fewer distinct words than real
listings, so its vectors are narrower.

CPU seconds depend on the machine, and are some tenths higher under load. Compare those of one run only.
"""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEED = 42069
SIZES = (20_000, 200_000)


def generate(folder: Path, n_movies: int, _model: str) -> Path:
    """Write the listings."""
    from tasks.acquire.sample import write_sample  # noqa: PLC0415 - each stage pays for its own imports
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    raw = DataPaths(folder).raw
    raw.mkdir(parents=True)
    write_sample(raw, n_movies, SEED)
    return raw


def clean(folder: Path, _n_movies: int, _model: str) -> Path:
    """Clean the listings."""
    from tasks.clean.movies import clean_movies  # noqa: PLC0415
    from tasks.clean.profiles import CleanConfig  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    return clean_movies(DataPaths(folder), CleanConfig()).folder


def annotate(folder: Path, _n_movies: int, _model: str) -> Path:
    """Annotate the movies with one worker."""
    from tasks.annotate.corpus import AnnotateConfig, annotate_movies  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    return annotate_movies(DataPaths(folder), AnnotateConfig(), 1).folder


def split(folder: Path, _n_movies: int, _model: str) -> Path:
    """Split the movies."""
    from tasks.core.settings import DataPaths  # noqa: PLC0415
    from tasks.split.parts import SplitConfig, split_movies  # noqa: PLC0415

    return split_movies(DataPaths(folder), SplitConfig(), SEED).folder


def features(folder: Path, _n_movies: int, model: str) -> Path:
    """Fit the representations of the model and write the vectors of all movies."""
    from tasks.core.settings import DataPaths  # noqa: PLC0415
    from tasks.models.features import build_features  # noqa: PLC0415
    from tasks.models.registry import choose_models  # noqa: PLC0415
    from tasks.models.spec import features_of  # noqa: PLC0415

    (spec,) = choose_models((model,), {}, ())
    for needed in features_of(spec, "train"):
        build_features(DataPaths(folder), needed, SEED)
    return DataPaths(folder).features


def fit(folder: Path, _n_movies: int, model: str) -> Path:
    """Fit the model on existing vectors."""
    from tasks.core.settings import DataPaths  # noqa: PLC0415
    from tasks.models.features import build_features  # noqa: PLC0415
    from tasks.models.registry import choose_models  # noqa: PLC0415
    from tasks.models.spec import features_of  # noqa: PLC0415
    from tasks.models.train import TrainChoices, train_model  # noqa: PLC0415

    (spec,) = choose_models((model,), {}, ())
    made = [build_features(DataPaths(folder), needed, SEED) for needed in features_of(spec, "train")]  # skips
    return train_model(DataPaths(folder), spec, made, TrainChoices(seed=SEED)).folder


def evaluate(folder: Path, _n_movies: int, model: str) -> Path:
    """Choose the model's rule and evaluate it."""
    from tasks.core.settings import DataPaths  # noqa: PLC0415
    from tasks.evaluate.evaluation import evaluate_model  # noqa: PLC0415

    paths = DataPaths(folder)
    return evaluate_model(paths.models / model, paths).folder


def predict(folder: Path, _n_movies: int, model: str) -> Path:
    """Score every movie of the cleaned table as a CSV file."""
    from tasks.core.settings import DataPaths  # noqa: PLC0415
    from tasks.models.predict import predict_file  # noqa: PLC0415

    paths = DataPaths(folder)
    predict_file(paths.models / model, paths.clean_csv, folder / "predicted" / "genres.csv")
    return folder / "predicted"


STAGES: dict[str, Callable[[Path, int, str], Path]] = {
    stage.__name__: stage for stage in (generate, clean, annotate, split, features, fit, evaluate, predict)
}


def measure(stage: str, folder: Path, n_movies: int, model: str) -> dict[str, Any]:
    """Run a stage in a fresh process and return its cost.

    This process stays small, because on Linux the peak of a new process starts with the memory of its parent.
    """
    words = [sys.executable, __file__, "--movies", str(n_movies), "--model", model, "--run", stage, str(folder)]
    start_s = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(words, stdout=output, env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{stage} at {n_movies:,} movies: exit status {process.returncode}")
        output.seek(0)
        left = Path(json.load(output))
    return {
        "movies": n_movies,
        "stage": stage,
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "wall_s": round(time.perf_counter() - start_s, 1),
        "peak_mb": round(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6),
        "disk_mb": round(sum(path.stat().st_size for path in left.rglob("*") if path.is_file()) / 1e6, 1),
    }


def count_rows(raw: Path) -> int:
    """Return the number of rows of listings; the sample's fields hold no line breaks."""
    import polars as pl  # noqa: PLC0415

    files = sorted(raw.glob("*.csv"))
    return sum(
        pl.scan_csv(file, infer_schema=False, encoding="utf8-lossy").select(pl.len()).collect().item() for file in files
    )


def print_table(results: list[dict[str, Any]]) -> None:
    """Print the cost of each stage at each size and per million rows, and how it grows."""
    print(
        f"{'rows':>10} {'stage':10}{'CPU s':>9}{'peak MB':>9}{'disk MB':>9}{'CPU s/M':>9}{'disk MB/M':>11}{'growth':>8}"
    )
    before: dict[str, dict[str, Any]] = {}
    for result in results:
        stage, rows = result["stage"], result["rows"]
        growth = ""
        if stage in before:
            growth = (
                f"{math.log(result['cpu_s'] / before[stage]['cpu_s']) / math.log(rows / before[stage]['rows']):.2f}"
            )
        before[stage] = result
        million = 1e6 / rows
        print(
            f"{rows:10,} {stage:10}{result['cpu_s']:9.1f}{result['peak_mb']:9,}{result['disk_mb']:9,.1f}"
            f"{result['cpu_s'] * million:9,.0f}{result['disk_mb'] * million:11,.0f}{growth:>8}"
        )


def main() -> None:
    """Measure the stages at each size and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description="What each stage costs as rows grow.")
    parser.add_argument("--movies", nargs="+", type=int, default=SIZES, help="movies of the sample, several sizes")
    parser.add_argument("--model", default="svm-fields", help="which model to fit and to predict with")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=tuple(STAGES), help="without: all")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # a fresh process of this one
    options = parser.parse_args()
    if options.run:
        stage, folder = options.run
        print(json.dumps(str(STAGES[stage](Path(folder), options.movies[0], options.model))))
        return
    results = []
    for n_movies in options.movies:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "data"
            found = [measure(stage, folder, n_movies, options.model) for stage in STAGES if stage in options.stages]
            rows = count_rows(folder / "raw")
            results += [{"rows": rows, **result} for result in found]
            shutil.rmtree(folder)
    print_table(results)
    facts = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "python": platform.python_version()}
    print(json.dumps({**facts, "model": options.model, "results": results}))


if __name__ == "__main__":
    main()
