"""How the cost of our models grows with rows, and how much faster a second worker makes them."""

import importlib
import os
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

from tasks.core.schema import DEFAULT_SEED
from tasks.core.settings import DataPaths
from tasks.models import train
from tasks.models.features import build_features
from tasks.models.spec import ModelSpec, features_of
from tasks.stage import StageResult

CHANGED = 0.15  # the share of words that a copy lacks, and the share that it has others for


def grow_movies(movies: pl.DataFrame, times: int) -> pl.DataFrame:
    """Return the movies several times; after the first time with words dropped and exchanged."""
    random = np.random.default_rng(DEFAULT_SEED)
    titles, plots = (movies.get_column(name).to_list() for name in ("movie_name", "description"))
    every_word = " ".join(plots).split()

    def change(text: str) -> str:
        words = text.split()
        draws, others = random.random(len(words)), random.integers(len(every_word), size=len(words))
        return " ".join(
            every_word[other] if draw < 2 * CHANGED else word
            for word, draw, other in zip(words, draws, others, strict=True)
            if draw >= CHANGED
        )

    copies = [
        movies.with_columns(
            pl.Series("movie_name", list(map(change, titles))), pl.Series("description", list(map(change, plots)))
        )
        for _ in range(times - 1)
    ]
    return pl.concat([movies, *copies])


def print_growth(results: list[dict[str, Any]]) -> None:
    """Print the cost of a fit at each size, and its ratio to the cost at the first size."""
    print(f"\n{'model':30}{'rows':>10}{'columns':>10}{'fit CPU s':>11}{'times':>7}{'peak MB':>9}{'times':>7}")
    first: dict[str, dict[str, Any]] = {}
    for result in results:
        base = first.setdefault(result["name"], result)
        ratios = (result["cpu_s"] / base["cpu_s"], result["peak_mb"] / base["peak_mb"])
        print(
            f"{result['name']:30}{result['rows']:10,}{result['columns']:10,}{result['cpu_s']:11.1f}{ratios[0]:7.1f}"
            f"{result['peak_mb']:9,}{ratios[1]:7.1f}"
        )


def measure_workers(paths: DataPaths, models: list[ModelSpec], folder: Path) -> list[dict[str, Any]]:
    """Run the train stage of all models with one and with two threads and processes; return wall and CPU seconds."""
    features = {spec: build_features(paths, spec, DEFAULT_SEED) for model in models for spec in features_of(model)}
    jobs = [(model, [features[spec] for spec in features_of(model)]) for model in models]
    found = []
    for kind, workers in (("threads", 1), ("threads", 2), ("processes", 1), ("processes", 2)):
        own = DataPaths(folder / f"{kind}-{workers}")
        own.root.mkdir()
        for shared in (paths.clean, paths.splits.parent):
            (own.root / shared.name).symlink_to(shared, target_is_directory=True)
        load = os.getloadavg()[0]
        with _pool(kind, workers) as pool:
            list(pool.map(_warm_up, range(workers)))
            cpu_s, start_s = _cpu_of_family_s(), time.perf_counter()
            list(pool.map(_train, [own.root] * len(jobs), *zip(*jobs, strict=True)))
            wall_s, cpu_s = time.perf_counter() - start_s, _cpu_of_family_s() - cpu_s
        found.append(
            {"kind": kind, "workers": workers, "wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1), "load": load}
        )
    return found


def _pool(kind: str, workers: int) -> Executor:
    if kind == "threads":
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _warm_up(_number: int) -> None:
    """Import what fitting needs, and wait until the other workers have work, too."""
    importlib.import_module("tasks.models.registry").built_in_models()

    time.sleep(1)


def _train(root: Path, model: ModelSpec, features: list[StageResult]) -> None:
    train.train_model(DataPaths(root), model, features, train.TrainChoices())


def _cpu_of_family_s() -> float:
    """Return the CPU seconds of this process and its children so far."""
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(spent.user + spent.system for spent in times)


def print_workers(results: list[dict[str, Any]]) -> None:
    """Print how long the train stages took, and how many times faster than with one worker of the same kind."""
    print(f"\n{'workers':20}{'wall s':>8}{'CPU s':>8}{'faster':>8}{'load average before':>21}")
    alone: dict[str, float] = {}
    for result in results:
        base = alone.setdefault(result["kind"], result["wall_s"])
        label = f"{result['kind']}: {result['workers']}"
        times = base / result["wall_s"]
        print(f"{label:20}{result['wall_s']:8.1f}{result['cpu_s']:8.1f}{times:8.2f}{result['load']:21.1f}")
