"""Cost of the report of a run: exhibits, leaderboard, every picture, and the page.

    python benchmarks/report.py [--models 16] [--movies 2600] [--genres 21] [--folder FOLDER]

Makes a finished run of that size: movies with invented descriptions, and for each model scores that are the truth with
noise, more of it from model to model, evaluated as in the pipeline. Only the next steps are measured: the leaderboard,
the choice of exhibits, the page with its pictures, and the pictures of each model, which `--pictures all` draws. CPU
seconds are of this process; the page is not logged. FOLDER keeps the run, so that you can look at the page.
Times depend on the machine.
"""

import argparse
import json
import logging
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.predictions import write_scores
from tasks.core.schema import DEFAULT_SEED, GENRES, MOVIES, SPLITS
from tasks.core.settings import DataPaths
from tasks.evaluate.evaluation import evaluate_model
from tasks.report.figures import draw_model
from tasks.report.leaderboard import write_leaderboard
from tasks.report.movies import write_exhibits
from tasks.report.page import write_report
from tasks.report.sources import RunFacts

WORDS = ("a", "the", "of", "in", "on", "farm", "sheriff", "ghost", "love", "war", "train", "city", "robot", "family")


def write_movies(paths: DataPaths, movies: int, genres: Sequence[str]) -> NDArray[np.bool_]:
    """Write as many validation as test movies, with frequent to rare genres; return which movie has which genre."""
    random = np.random.default_rng(DEFAULT_SEED)
    truth = random.random((2 * movies, len(genres))) < np.geomspace(0.5, 0.01, len(genres))
    truth[~truth.any(axis=1), 0] = True
    ids = [f"tt{number:07}" for number in range(len(truth))]
    texts = [" ".join(random.choice(WORDS, size=random.integers(5, 60))) for _ in ids]
    names = np.asarray(genres)
    rows = [
        {"movie_id": movie, "movie_name": f"Movie {movie}", "description": text, "genres": sorted(names[own].tolist())}
        for movie, text, own in zip(ids, texts, truth, strict=True)
    ]
    parts = ["test", "validation"] * movies
    for path, table in (
        (paths.movies, pl.DataFrame(rows, schema=MOVIES).with_columns(is_truncated=pl.lit(False))),
        (paths.splits, pl.DataFrame({"movie_id": ids, "part": parts, "is_development": False, "fold": 0}, SPLITS)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)
    return truth


def write_models(paths: DataPaths, truth: NDArray[np.bool_], genres: Sequence[str], models: int) -> list[Path]:
    """Write and evaluate models whose scores hold more and more noise; return their folders."""
    random = np.random.default_rng(DEFAULT_SEED)
    ids = np.asarray(pl.read_parquet(paths.movies)["movie_id"])
    folders = [paths.models / f"model-{number:02}" for number in range(models)]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        logits = 3 * truth - 3 + random.normal(0, 1 + number / 10, truth.shape)
        scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
        for start, part in enumerate(("test", "validation")):
            write_scores(folder / f"scores_{part}.parquet", ids[start::2].tolist(), scores[start::2], genres)
        (folder / "fit.json").write_text(json.dumps({"fit_s": 1.0 + number, "predict_docs_per_s": 9e4 / (1 + number)}))
        kind = "linear-svm" if number % 2 else "random-forest"
        (folder / "train.stage.json").write_text(json.dumps({"config": {"model": {"classifier": {"kind": kind}}}}))
        evaluate_model(folder, paths)
    return folders


def measure(step: Callable[[], object]) -> dict[str, float]:
    """Return the wall and CPU seconds of a call."""
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    step()
    return {
        "wall_s": round(time.perf_counter() - start_s, 2),
        "cpu_s": round(time.process_time() - start_cpu_s, 2),
    }


def main() -> None:
    """Make a run, measure the steps, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--movies", type=int, default=2600)
    parser.add_argument("--genres", type=int, default=21, choices=range(2, 22), metavar="2-21")
    parser.add_argument("--folder", type=Path, help="keep the run here")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() if options.folder is None else nullcontext(options.folder) as folder:
        paths, genres = DataPaths(Path(folder)), GENRES[: options.genres]
        truth = write_movies(paths, options.movies, genres)
        folders = write_models(paths, truth, genres, options.models)
        steps: dict[str, Callable[[], object]] = {
            "leaderboard": lambda: write_leaderboard(folders, paths.results),
            "exhibits": lambda: write_exhibits(folders, paths),
            "report": lambda: write_report(folders, paths, RunFacts()),
            "each model, with --pictures all": lambda: [draw_model(model) for model in folders],
        }
        results = {name: measure(step) for name, step in steps.items()}
        page_bytes = (paths.results / "report.html").stat().st_size
    total = {kind: round(sum(result[kind] for result in results.values()), 2) for kind in ("wall_s", "cpu_s")}
    print(f"{'step':32}{'wall s':>8}{'CPU s':>8}")
    for name, result in {**results, "all": total}.items():
        print(f"{name:32}{result['wall_s']:8.2f}{result['cpu_s']:8.2f}")
    print(f"report.html: {page_bytes / 1e6:.1f} MB")
    sizes = {name: getattr(options, name) for name in ("models", "movies", "genres")}
    print(json.dumps({"machine": platform.machine(), **sizes, "page_bytes": page_bytes, "results": results}))


if __name__ == "__main__":
    main()
