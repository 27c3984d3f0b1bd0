"""Cost of fine-tuning compared with transformers' Trainer, and speed and quality in eight bits.

    python benchmarks/encoders.py [FOLDER] [--movies 2000] [--data DATA_FOLDER --model NAME]

Without listings it uses the embedded sample; the pipeline's clean stage cleans them. Each method runs in a fresh
process with one thread, on the titles and descriptions of the same movies, with MiniLM. Times depend on the machine and
its load: compare those of one run only.

trainer    One epoch of `transformers.Trainer` with its defaults: random batches, padded to their longest text, float32.
           Written as in its documentation, with the same batch size, learning rate, length limit and loss as ours.
genreflow  One epoch as in the pipeline. Both train on `--movies` movies and evaluate on 64.
float32    With `--data` and `--model`, a data folder and a fine-tuned model in it: test movies scored per second, and
           test Jaccard with the model's chosen rule.
int8       The same with ONNX Runtime in eight bits, with the rule that was fitted on the float32 scores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EVALUATED = 64
MAX_TOKENS = 128


def read_texts(folder: Path, n_movies: int) -> tuple[list[str], Any]:
    """Return title and description of movies, and their genres as (movies × genres)."""
    import polars as pl  # noqa: PLC0415 - each way pays for its own imports

    from tasks.core.predictions import truth_matrix  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    paths = DataPaths(folder)
    movies = pl.read_parquet(paths.movies).sample(n_movies + EVALUATED, shuffle=True, seed=42069)
    texts = [f"{name}. {text}" for name, text in movies.select("movie_name", "description").iter_rows()]
    genres = tuple(json.loads(paths.genres_json.read_text(encoding="utf-8")))
    return texts, truth_matrix(movies["genres"].to_list(), genres)


def train_as_it_comes(folder: Path, n_movies: int) -> dict[str, Any]:
    """Fine-tune for an epoch with transformers' Trainer and its defaults."""
    import torch  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from tasks.models.encoder.frozen import find_encoder  # noqa: PLC0415

    texts, Y = read_texts(folder, n_movies)
    encoder = str(find_encoder("minilm"))
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    torch.manual_seed(42069)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=Y.shape[1], problem_type="multi_label_classification"
    )
    encoded = tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    rows = [{"input_ids": ids, "labels": y.astype("float32")} for ids, y in zip(encoded, Y, strict=True)]
    with tempfile.TemporaryDirectory() as name:
        arguments = TrainingArguments(
            output_dir=name, num_train_epochs=1, per_device_train_batch_size=32, learning_rate=1.2e-4,
            save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, seed=42069,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, train_dataset=rows[:n_movies], data_collator=DataCollatorWithPadding(tokenizer)
        )
        return _timed(trainer.train)


def train_with_genreflow(folder: Path, n_movies: int) -> dict[str, Any]:
    """Fine-tune for an epoch as the pipeline does."""
    import torch  # noqa: PLC0415

    from tasks.models.encoder.frozen import find_encoder, load_network, load_tokenizer, tokenise  # noqa: PLC0415
    from tasks.models.encoder.model import loss_function, new_network  # noqa: PLC0415
    from tasks.models.encoder.trainer import GenreTrainer, Job, LabelledTokens  # noqa: PLC0415
    from tasks.models.spec import BinaryCrossEntropy, FineTuning  # noqa: PLC0415

    texts, Y = read_texts(folder, n_movies)
    encoder = find_encoder("minilm")
    tokenizer = load_tokenizer(encoder)
    parts = [
        LabelledTokens(tokenise(texts[rows], tokenizer, MAX_TOKENS)[0], Y[rows])
        for rows in (slice(n_movies), slice(n_movies, None))
    ]
    choices = FineTuning(epochs=1, evaluations=1)
    network = new_network(load_network(encoder), parts[0].Y, choices.dropout, 42069)
    with tempfile.TemporaryDirectory() as name:
        loss = loss_function(BinaryCrossEntropy(), torch.from_numpy(parts[0].Y.sum(axis=0)), n_movies)
        return _timed(GenreTrainer(network, Job(*parts, loss, Path(name), 42069), choices).train)


def _timed(train: Any) -> dict[str, Any]:
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    train()
    return {"cpu_s": round(time.process_time() - start_cpu_s, 1), "wall_s": round(time.perf_counter() - start_s, 1)}


def score(folder: Path, model_name: str, precision: str) -> dict[str, Any]:
    """Score the test movies with a trained model and evaluate the decisions of its rule."""
    import numpy as np  # noqa: PLC0415
    import polars as pl  # noqa: PLC0415

    from tasks.core.predictions import truth_matrix  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415
    from tasks.decision.rules import rules_from_json  # noqa: PLC0415
    from tasks.models.genre_classifier import load_single  # noqa: PLC0415

    paths = DataPaths(folder)
    model = load_single(paths.models / model_name / "model")
    model.precision = precision
    movies = pl.read_parquet(paths.movies).filter(pl.read_parquet(paths.splits)["part"].cast(pl.String) == "test")
    model.scores(movies.head(64))  # what is loaded at first
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    scores = model.scores(movies)
    cost = {"cpu_s": time.process_time() - start_cpu_s, "wall_s": time.perf_counter() - start_s}
    stored = json.loads((paths.models / model_name / "rules.json").read_text(encoding="utf-8"))
    decided = rules_from_json(stored["rules"])[stored["chosen"]].decide(scores)
    truth = truth_matrix(movies["genres"].to_list(), model.genres, ignored=movies["genres"].explode())
    both, either = (decided & truth).sum(axis=1), (decided | truth).sum(axis=1)
    jaccard = float(np.where(either == 0, 1.0, both / np.maximum(either, 1)).mean())
    rounded = {name: round(value, 1) for name, value in cost.items()}
    return {**rounded, "movies_a_cpu_s": round(movies.height / cost["cpu_s"]), "jaccard": round(jaccard, 4)}


def run_fresh(way: str, *arguments: str) -> dict[str, Any]:
    """Run a method in a fresh process with one thread and return the figures that it prints."""
    command = [sys.executable, __file__, "--way", way, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return {"way": way, **json.loads(done.stdout.splitlines()[-1])}


def clean_listings(source: Path | None, folder: Path) -> None:
    """Clean the listings, or the generated sample, into a folder."""
    from tasks.acquire.config import SampleConfig  # noqa: PLC0415
    from tasks.acquire.sample import write_sample  # noqa: PLC0415
    from tasks.clean.movies import clean_movies  # noqa: PLC0415
    from tasks.clean.profiles import CleanConfig  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    paths = DataPaths(folder)
    if source is None:
        paths.raw.mkdir(parents=True)
        write_sample(paths.raw, SampleConfig().n_movies, seed=42069)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        paths.raw.symlink_to(source.resolve())
    clean_movies(paths, CleanConfig())


def main() -> None:
    """Measure the methods and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description="What fine-tuning and eight bits cost.")
    parser.add_argument("source", nargs="?", type=Path, help="per-genre CSVs; without: the generated sample")
    parser.add_argument("--movies", type=int, default=2_000, help="to train on")
    parser.add_argument("--data", type=Path, help="a data folder with a fine-tuned model")
    parser.add_argument("--model", default="minilm-tuned", help="its name")
    parser.add_argument("--way", choices=("trainer", "genreflow", "float32", "int8"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way in {"float32", "int8"}:
        print(json.dumps(score(options.data, options.model, options.way)))
    elif options.way:
        train = train_as_it_comes if options.way == "trainer" else train_with_genreflow
        print(json.dumps(train(options.source, options.movies)))
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        clean_listings(options.source, folder)
        given = (str(folder), "--movies", str(options.movies))
        results = [run_fresh(way, *given) for way in ("trainer", "genreflow")]
    if options.data:
        given = ("--data", str(options.data), "--model", options.model)
        results += [run_fresh(way, *given) for way in ("float32", "int8")]
    for result in results:
        print("  ".join(f"{key} {value}" for key, value in result.items()))
    facts = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "python": platform.python_version()}
    print(json.dumps({**facts, "movies": options.movies, "results": results}))


if __name__ == "__main__":
    main()
