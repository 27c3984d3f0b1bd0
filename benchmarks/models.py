"""Cost and quality of our linear models compared with scikit-learn, LibMultiLabel and fastText, and growth of the cost.

    python benchmarks/models.py [FOLDER_OR_ZIP] [--peers FOLDER] [--parts PART ...] [--picture FILE]

Without listings it uses the embedded sample. The pipeline's stages clean and split them. Each system gets title and
description of the same movies, and is fitted on train in a fresh process with one thread. CPU seconds are those of the
fit, from text to model, without imports, reading files and LibMultiLabel's compilation. Times depend on the machine and
its load: compare those of one run only.

comparison  On text, each system with its own vectors: models of the registry (`--models`); scikit-learn's one-vs-rest
            after `TfidfVectorizer`; LibMultiLabel's one-vs-rest (above 0) and its thresholds by cross-validation
            (SCutFBR); fastText's one-vs-all (0.5 or more). Each is evaluated on test twice: with its own decisions, and
            with our rules, fitted and chosen on its validation scores. Ours have only the latter.
            On the same tf-idf vectors of words and word pairs: logistic regression and L2-loss SVM with the bias as an
            extra column, by us and by LIBLINEAR through LibMultiLabel, with its own tolerance and with 1e-4. These fits
            take turns, and the cheapest of each counts. Our SVM also fits folds for its probabilities; it is shown with
            and without them.
growth      Our two models of the second comparison on train once and ten times (`--times`), with words dropped and
            exchanged at random, so that no two rows are the same: CPU time and the peak of the resident set.
workers     Wall time of the train stage of the registry's linear models with one and two threads and processes. It
            needs a quiet machine, and runs only on request.

The other systems get a separate environment, made with venv and pip in the folder `--peers`, which later runs reuse, or
in a temporary one. A system that cannot be installed is named and skipped.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from peers.data import prepare, write_inputs
from peers.environment import PeerEnvironment, make_environment
from peers.growth import grow_movies, measure_workers, print_growth, print_workers
from peers.judge import OURS, Judgement, compare, draw, judge, print_table

from tasks.core.settings import DataPaths
from tasks.models.registry import choose_models, with_params
from tasks.models.spec import ModelSpec
from tasks.tracking.runs import git_revision

HERE = Path(__file__).parent
SAME = ("logreg-title", "svm-title")  # what LIBLINEAR also fits, on the same vectors
MODELS = (*SAME, "nbsvm-title", "svm-characters")
LINEAR = ("logistic-regression", "linear-svm", "naive-bayes", "naive-bayes-svm")
REPEATS = 3
PARTS = ("comparison", "growth", "workers")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# https://fasttext.cc/docs/en/supervised-tutorial.html, its last model but for the learning rate of the first ones
FASTTEXT_TUTORIAL = {"lr": 0.5, "epoch": 25, "wordNgrams": 2, "bucket": 200_000, "dim": 50, "loss": "ova"}


@dataclass(frozen=True)
class System:
    """One thing to fit."""

    name: str
    peer: str
    options: dict[str, Any]
    on_vectors: bool = False


def systems_on_text(models: tuple[ModelSpec, ...]) -> list[System]:
    """Return our models and the peers, each as its users would set it up."""
    return [
        *(System(model.name, OURS, model.model_dump(mode="json")) for model in models),
        System("scikit-learn LogisticRegression", "scikit-learn", {"estimator": "LogisticRegression"}),
        System("scikit-learn LinearSVC", "scikit-learn", {"estimator": "LinearSVC"}),
        System("LibMultiLabel one-vs-rest", "libmultilabel", {"trainer": "1vsrest", "options": ""}),
        System("LibMultiLabel thresholding", "libmultilabel", {"trainer": "thresholding", "options": ""}),
        System("fastText one-vs-all", "fasttext", FASTTEXT_TUTORIAL),
    ]


def systems_on_vectors() -> list[System]:
    """Return the same two models, fitted by us and by LIBLINEAR."""
    regression, svm = choose_models(SAME)
    unscaled = with_params(svm, {"calibration_folds": 10**9})
    ours = {"regression: ours": regression, "SVM: ours": unscaled, "SVM: ours, and its folds": svm}
    theirs = {
        "regression: LIBLINEAR": f"-s 0 -c {regression.classifier.params['C']}",
        "regression: LIBLINEAR, 1e-4": f"-s 0 -c {regression.classifier.params['C']} -e 1e-4",
        "regression: LIBLINEAR, dual": f"-s 7 -c {regression.classifier.params['C']}",
        "SVM: LIBLINEAR": f"-s 1 -c {svm.classifier.params['C']}",
        "SVM: LIBLINEAR, 1e-4": f"-s 1 -c {svm.classifier.params['C']} -e 1e-4",
        "SVM: LibMultiLabel thresholding": f"-s 1 -c {svm.classifier.params['C']}",
    }
    found = [System(name, OURS, model.model_dump(mode="json"), True) for name, model in ours.items()]
    for name, options in theirs.items():
        trainer = "thresholding" if name.endswith("thresholding") else "1vsrest"
        found.append(System(name, "libmultilabel", {"trainer": trainer, "options": f"{options} -B 1"}, True))
    return sorted(found, key=lambda system: system.name.startswith("SVM"))


def fit(system: System, folder: Path, environment: PeerEnvironment) -> dict[str, Any]:
    """Fit a system in a fresh process with one thread and return the figures that it prints."""
    script = HERE / "peers" / ("ours.py" if system.peer == OURS else "theirs.py")
    python = sys.executable if system.peer in (OURS, "scikit-learn") else str(environment.python)
    command = [python, str(script), json.dumps(asdict(system)), str(folder)]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system.name}: exit status {done.returncode}")
    return {"name": system.name, "peer": system.peer, **json.loads(done.stdout.splitlines()[-1])}


def fit_all(systems: list[System], folder: Path, environment: PeerEnvironment, repeats: int) -> list[dict[str, Any]]:
    """Fit all installed systems, in turns if more than once; return the cheapest fit of each."""
    there = [system for system in systems if system.peer not in environment.missing]
    rounds = [[fit(system, folder, environment) for system in there] for _ in range(repeats)]
    return [min(fits, key=lambda found: found["cpu_s"]) for fits in zip(*rounds, strict=True)]


def compare_systems(
    models: tuple[ModelSpec, ...], paths: DataPaths, inputs: Path, environment: PeerEnvironment
) -> dict[str, Any]:
    """Fit and evaluate our models and the peers, on text and on the same vectors; print both tables."""
    for peer, reason in environment.missing.items():
        print(f"left out: {peer} cannot be installed ({reason})")
    results = {
        "on_text": fit_all(systems_on_text(models), inputs, environment, 1),
        "on_vectors": fit_all(systems_on_vectors(), inputs, environment, REPEATS),
    }
    every = [result for found in results.values() for result in found]
    judgements = {result["name"]: judge(paths, inputs / f"{result['name']}.npz") for result in every}
    report = {where: judge_all(found, judgements) for where, found in results.items()}
    for found in report.values():
        print()
        print_table(found)
    return {**report, "missing": environment.missing}


def judge_all(results: list[dict[str, Any]], judgements: dict[str, Judgement]) -> list[dict[str, Any]]:
    """Return the results with their figures, and the lead of our best model on validation."""
    ours = [result["name"] for result in results if result["peer"] == OURS]
    best = max(ours, key=lambda name: judgements[name].validation_jaccard)
    judged = []
    for result in results:
        found = judgements[result["name"]]
        ahead = {} if result["name"] == best else compare(judgements[best], found)
        judged.append({**result, "own": found.own, "rules": found.rules, "chosen": found.chosen, "ahead": ahead})
    return judged


def measure_growth(models: tuple[ModelSpec, ...], inputs: Path, folder: Path, times: int) -> list[dict[str, Any]]:
    """Measure the cost of fitting our models on train at its own size and enlarged."""
    train = pl.read_parquet(inputs / "movies_train.parquet")
    results = []
    for size in (1, times):
        grown = folder / str(size)
        grown.mkdir(parents=True)
        (grown / "genres.json").write_bytes((inputs / "genres.json").read_bytes())
        grow_movies(train, size).write_parquet(grown / "movies_train.parquet")
        for model in models:
            system = System(model.name, OURS, model.model_dump(mode="json"))
            results.append(fit(system, grown, PeerEnvironment(Path(sys.executable), {})))
    return sorted(results, key=lambda result: result["name"])


def linear_models() -> list[ModelSpec]:
    """Return the linear models of the registry that need no corpus."""
    single = [model for model in choose_models(("*",)) if isinstance(model, ModelSpec)]
    return [model for model in single if model.classifier.kind in LINEAR and model.input.text == "surface"]


def describe_run(source: str, counts: dict[str, int]) -> dict[str, Any]:
    """Return what the figures depend on."""
    packages = ("numpy", "scipy", "scikit-learn")
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "revision": git_revision(),
        "data": "embedded sample" if source == "sample" else Path(source).name,
        "movies": counts,
    }


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", default="sample", help="per-genre CSVs, or a zip of them")
    parser.add_argument("--models", nargs="+", default=MODELS, help="ours: names or globs of models of title and text")
    parser.add_argument("--peers", type=Path, help="where the peers' environment is or shall be")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:2], help="what to measure")
    parser.add_argument("--times", type=int, default=10, help="how many times the rows of train to grow to")
    parser.add_argument("--picture", type=Path, help="write FILE.svg and FILE.png")
    return parser.parse_args()


def main() -> None:
    """Measure the chosen parts; print tables and one line of JSON."""
    options = parse_options()
    models = tuple(model for model in choose_models(options.models) if isinstance(model, ModelSpec))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = prepare(options.source, folder / "data")
        inputs = folder / "inputs"
        inputs.mkdir()
        counts = write_inputs(paths, choose_models(SAME)[0], inputs)
        report = describe_run(options.source, counts)
        print(f"{report['data']}: {', '.join(f'{count:,} {part}' for part, count in counts.items())}")
        if "comparison" in options.parts:
            environment = make_environment(options.peers or folder / "environment")
            report["comparison"] = compare_systems(models, paths, inputs, environment)
        if "growth" in options.parts:
            report["growth"] = measure_growth(choose_models(SAME), inputs, folder / "growth", options.times)
            print_growth(report["growth"])
        if "workers" in options.parts:
            report["workers"] = measure_workers(paths, linear_models(), folder)
            print_workers(report["workers"])
    if options.picture and "comparison" in report:
        title = f"{report['data']}, {counts['train']:,} movies to fit on"
        draw(report["comparison"]["on_text"], title, options.picture)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
