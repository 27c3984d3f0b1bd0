"""Cost of predicting long files, by number of rows and workers.

    python benchmarks/predict.py [FOLDER] [--rows 100000 1000000] [--models svm-fields] [--workers 1 2]
        [--folder KEPT]

The models are fitted on the listings in FOLDER, or on the generated sample. Rows are made of the same movies: each has
the first half of one description, the second half of another, and the fields of the first. Each variant runs in a fresh
process. CPU time is the user and system time of that process and its workers, including the start of Python and
imports; `peak` is the largest resident set of the first process, `worker` that of the largest worker. All variants must
write the same bytes. `load` is the machine's load before the run: the higher it is, the less a second worker gains.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers.measure import peak_mb

ROWS_AT_ONCE = 50_000
FIELDS = ("movie_name", "year", "certificate", "runtime_min", "directors", "stars")


def prepare_models(source: str, models: list[str], folder: Path) -> None:
    """Fit and evaluate models of the registry on prepared listings."""
    from peers.data import prepare  # noqa: PLC0415 - each process pays for its own imports

    from tasks.evaluate.evaluation import EvaluateConfig, evaluate_model  # noqa: PLC0415
    from tasks.models.registry import choose_models  # noqa: PLC0415
    from tasks.models.train import TrainChoices, train_in  # noqa: PLC0415

    paths = prepare(source, folder)
    for model in choose_models(models, {}, ()):
        evaluate_model(train_in(folder, model, TrainChoices()).folder, paths, EvaluateConfig())


def write_rows(folder: Path, n_rows: int, target: Path) -> float:
    """Write a CSV with a number of rows; return the mean length of their descriptions in characters."""
    import polars as pl  # noqa: PLC0415

    movies = pl.read_parquet(folder / "clean" / "movies.parquet", columns=["description", *FIELDS])
    names = pl.col("directors", "stars").list.join(",\n")
    columns = movies.with_columns(names, pl.col("year", "runtime_min").cast(pl.String)).to_dict(as_series=False)
    halves = [(words[: len(words) // 2], words[len(words) // 2 :]) for words in map(str.split, columns["description"])]
    dice, length = random.Random(1), 0  # noqa: S311 - for rows, not for secrets
    with target.open("wb") as file:
        for start in range(0, n_rows, ROWS_AT_ONCE):
            chosen = [dice.randrange(len(halves)) for _ in range(min(ROWS_AT_ONCE, n_rows - start))]
            texts = [" ".join(halves[first][0] + halves[dice.randrange(len(halves))][1]) for first in chosen]
            length += sum(map(len, texts))
            rows = {"movie_id": [f"row{start + number}" for number in range(len(texts))], "description": texts}
            rows |= {name: [columns[name][first] for first in chosen] for name in FIELDS}
            pl.DataFrame(rows).write_csv(file, include_header=start == 0)
    return length / n_rows


def predict(model_folder: Path, source: Path, workers: int) -> dict[str, Any]:
    """Predict a file in this process and a number of workers; return the cost."""
    from tasks.models.predict import Choices, predict_file  # noqa: PLC0415

    target = source.with_name(f"predicted-{workers}.csv")
    start_s = time.perf_counter()
    n_rows = predict_file(model_folder, source, target, Choices(workers=workers))
    wall_s = time.perf_counter() - start_s
    own, of_workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    with target.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    target.unlink()
    return {
        "rows_per_s": round(n_rows / wall_s),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(own.ru_utime + own.ru_stime + of_workers.ru_utime + of_workers.ru_stime, 1),
        "peak_mb": round(peak_mb()),
        "worker_mb": round(of_workers.ru_maxrss * 1024 / 1e6) if workers > 1 else None,
        "sha256": content,
    }


def run_fresh(*arguments: object) -> dict[str, Any]:
    """Run `predict` in a fresh process."""
    command = [sys.executable, __file__, "--predict", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def measure(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the cost of each variant."""
    command = [sys.executable, __file__, "--prepare", options.source, str(folder), *options.models]
    subprocess.run(command, check=True)  # in a process of its own, so that this one stays small
    for n_rows in options.rows:
        length = write_rows(folder, n_rows, folder / "rows.csv")
        for model in options.models:
            results = []
            for workers in options.workers:
                load = round(os.getloadavg()[0], 1)
                results.append(run_fresh(folder / "models" / model, folder / "rows.csv", workers))
                yield {"model": model, "rows": n_rows, "mean_characters": round(length), "workers": workers,
                       "load": load, **results[-1]}  # fmt: skip
            assert len({result.pop("sha256") for result in results}) == 1, "workers make a difference"


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", default="sample")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--models", nargs="+", default=["svm-fields"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path, help="for models and rows; kept, so that they need not be made again")
    return parser.parse_args()


def main() -> None:
    """Measure all, print a table and a line of JSON."""
    match sys.argv[1:]:
        case ["--prepare", source, folder, *models]:
            prepare_models(source, models, Path(folder))
        case ["--predict", model_folder, source, workers]:
            print(json.dumps(predict(Path(model_folder), Path(source), int(workers))))
        case _:
            options = parse_options()
            results = []
            with tempfile.TemporaryDirectory() as temporary:
                for result in measure(options, options.folder or Path(temporary)):
                    results.append({name: value for name, value in result.items() if name != "sha256"})
                    if len(results) == 1:
                        print("  ".join(f"{name:>15}" for name in results[0]))
                    print("  ".join(f"{value!s:>15}" for value in results[-1].values()), flush=True)
            print(json.dumps({"source": Path(options.source).name, "results": results}))


if __name__ == "__main__":
    main()
