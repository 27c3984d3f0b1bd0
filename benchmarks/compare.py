"""Cost of comparing: a paired bootstrap of many models, and the whole leaderboard with its pictures.

    python benchmarks/compare.py [N_MOVIES] [N_MODELS]        (default: 24000 16)

Movies, genres and models are invented: 21 genres, with a share of positives from 40% down to 0.5%, and models with 2 to
10% wrong decisions. Times are of 1,000 resamples of every metric of every model, with the intervals of the differences
from the first model. The slow method draws rows and computes each metric again; it runs for a few resamples and is
scaled up. The leaderboard is drawn and written as in `flows/compare.py`, with 2,000 resamples.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.metrics import decision_metrics, draw_weights, interval, resample
from tasks.core.schema import GENRES, PREDICTIONS
from tasks.report.leaderboard import write_leaderboard

RESAMPLES = 1000
SLOW_RESAMPLES = 3
Labels = NDArray[np.bool_]


def invent(n_movies: int, n_models: int) -> tuple[Labels, list[Labels]]:
    """Return a truth and the decisions of models."""
    random = np.random.default_rng(0)
    truth = random.random((n_movies, len(GENRES))) < np.geomspace(0.4, 0.005, len(GENRES))
    truth[~truth.any(axis=1), 0] = True
    noise = np.linspace(0.02, 0.1, n_models)
    return truth, [truth ^ (random.random(truth.shape) < share) for share in noise]


def measure_bootstrap(truth: Labels, decided: list[Labels]) -> dict[str, float]:
    """Return the seconds of our method and, scaled up, of the slow one."""
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    metrics = resample(truth, decided, RESAMPLES).metrics
    intervals = [interval(values[0] - values[model]) for values in metrics.values() for model in range(1, len(decided))]
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    start_s = time.perf_counter()
    for weights in draw_weights(len(truth), SLOW_RESAMPLES)[1:]:
        rows = np.repeat(np.arange(len(truth)), weights)
        for labels in decided:
            decision_metrics(truth[rows], labels[rows])
    slow_s = (time.perf_counter() - start_s) * RESAMPLES / SLOW_RESAMPLES
    return {"intervals": len(intervals), "wall_s": wall_s, "cpu_s": cpu_s, "slow_s": slow_s}


def write_models(truth: Labels, decided: list[Labels], folder: Path) -> list[Path]:
    """Write the files of each model that the leaderboard reads."""
    names = np.asarray(GENRES)
    true = [names[row].tolist() for row in truth]
    folders = []
    for number, labels in enumerate(decided):
        model = folder / f"model-{number}"
        model.mkdir()
        figures = {f"test/{name}": value for name, value in decision_metrics(truth, labels).items()}
        rules = {"global": {**figures, "val/jaccard": figures["test/jaccard"]}}
        (model / "metrics.json").write_text(json.dumps({"chosen_rule": "global", "rules": rules}))
        (model / "fit.json").write_text(json.dumps({"fit_s": 1.0 + number, "predict_docs_per_s": 10.0 * (number + 1)}))
        (model / "rules.json").write_text(json.dumps({"genres": GENRES}))
        columns = [[f"tt{movie:07}" for movie in range(len(true))], true, [names[row].tolist() for row in labels]]
        table = pl.DataFrame([*columns, [None] * len(true)], schema=PREDICTIONS)
        table.write_parquet(model / "predictions_test.parquet")
        folders.append(model)
    return folders


def main() -> None:
    """Measure both, and print a table and a line of JSON."""
    n_movies, n_models = (int(text) for text in [*sys.argv[1:], *("24000", "16")[len(sys.argv) - 1 :]])
    truth, decided = invent(n_movies, n_models)
    bootstrap = measure_bootstrap(truth, decided)
    with tempfile.TemporaryDirectory() as folder:
        folders = write_models(truth, decided, Path(folder))
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        write_leaderboard(folders, Path(folder) / "results")
        leaderboard_s, leaderboard_cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    print(f"{n_movies:,} movies, {n_models} models, {RESAMPLES:,} resamples, {bootstrap['intervals']} intervals")
    print(f"paired bootstrap      {bootstrap['wall_s']:8.1f} s, {bootstrap['cpu_s']:.1f} CPU s")
    print(f"drawing rows, scaled  {bootstrap['slow_s']:8.1f} s")
    print(f"whole leaderboard     {leaderboard_s:8.1f} s, {leaderboard_cpu_s:.1f} CPU s, 2,000 resamples and pictures")
    print(
        json.dumps(
            {
                "movies": n_movies,
                "models": n_models,
                **bootstrap,
                "leaderboard_s": leaderboard_s,
                "leaderboard_cpu_s": leaderboard_cpu_s,
            }
        )
    )


if __name__ == "__main__":
    main()
