"""The train stage of a fine-tuned encoder. Owns what its folder holds and where its checkpoints are meanwhile."""

import contextlib
import csv
import hashlib
import json
import logging
import math
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from torch import nn

from tasks.core.errors import ModelError
from tasks.core.files import hash_files
from tasks.core.predictions import truth_matrix, write_scores
from tasks.core.settings import DataPaths
from tasks.models.encoder.network import (
    GenreNetwork,
    choose_device,
    compute_rows,
    device_name,
    layers_of,
    mean_pool,
    precision_of,
    uses_bfloat16,
)
from tasks.models.encoder.store import FILES, IMPORTING, encoder_files, find_encoder, load_network, load_tokenizer
from tasks.models.encoder.trainer import (
    Job,
    LabelledTokens,
    LossFunction,
    collate,
    forget_precision,
    last_whole,
    loss_function,
    new_trainer,
    spent_s,
)
from tasks.models.features import read_genres, read_movies, train_rows
from tasks.models.inputs import read_template
from tasks.models.linear import LogisticRegression
from tasks.models.pipeline import MODEL_FILE
from tasks.models.spec import FineTuning, TransformerSpec
from tasks.models.train import (
    FIT_FILE,
    MODEL_FOLDER,
    RATE_SAMPLE,
    SCORED_PARTS,
    TrainChoices,
    chosen_genres,
    save_model,
)
from tasks.stage import Stage, StageResult, config_dict, run_stage, write_atomically

logger = logging.getLogger(__name__)

PLAN_FILE: Final = "plan.json"
TIMED_BATCHES: Final = 5  # from which the cost of an epoch is told


@dataclass(frozen=True)
class Plan:
    """What is trained: epochs, and from which layer up (0: all and the embeddings; None: only the head)."""

    epochs: int
    first_layer: int | None
    why: str


def keep_plan(plan: Plan, folder: Path) -> None:
    """Write a plan beside the checkpoints of its training."""
    write_atomically(folder / PLAN_FILE, json.dumps(asdict(plan)) + "\n")


def planned_before(folder: Path) -> Plan | None:
    """Return the plan of a training that was killed: what is measured anew could differ."""
    try:
        return Plan(**json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def make_plan(
    network: GenreNetwork, train: LabelledTokens, choices: FineTuning, loss: LossFunction, budget_s: float | None
) -> Plan:
    """Return the best training that fits a budget: fewer epochs, then the upper half of the layers, then the head.

    The cost of an epoch is measured on some batches, so with a budget the result depends on the machine.
    """
    if budget_s is None:
        return Plan(choices.epochs, 0, "no time budget")
    layers = layers_of(network.encoder)
    for first_layer in (0, (len(layers) + 1) // 2):
        freeze_below(network, first_layer)
        epoch_s = measure_epoch_s(network, train, choices, loss)
        epochs = min(choices.epochs, math.floor(budget_s / epoch_s))
        logger.info("an epoch of the layers from %d up takes about %.0f s of %.0f", first_layer, epoch_s, budget_s)
        if epochs:
            which = "all layers" if first_layer == 0 else f"the layers from {first_layer} up"
            return Plan(epochs, first_layer, f"{epochs} of {choices.epochs} epochs of {which} fit {budget_s:.0f} s")
    return Plan(0, None, f"no epoch fits {budget_s:.0f} s: the encoder stays as it is")


def freeze_below(network: GenreNetwork, first_layer: int) -> None:
    """Train nothing below a layer; 0 is everything."""
    network.encoder.requires_grad_(first_layer == 0)
    for layer in layers_of(network.encoder)[first_layer:]:
        layer.requires_grad_(True)


def measure_epoch_s(network: GenreNetwork, train: LabelledTokens, choices: FineTuning, loss: LossFunction) -> float:
    """Return about how long an epoch takes, by the clock, from batches of all lengths; the network stays as it is."""
    device = choose_device()
    network.to(device).train()
    order = np.argsort(train.tokens.lengths, kind="stable")
    size = min(choices.batch_size, len(order))
    n_batches = max(1, len(order) // size)
    chosen = np.linspace(0, n_batches - 1, min(TIMED_BATCHES, n_batches)).round().astype(int)
    warm_up = chosen if device.type == "cuda" else chosen[:1]  # a GPU loads what it needs for each length
    taken_s: list[float] = []
    for number in [*warm_up, *chosen]:
        items = [train[row] for row in order[number * size : (number + 1) * size]]
        batch = {name: value.to(device) for name, value in collate(items, 0).items()}
        start_s = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=uses_bfloat16(choices)):
            logits = network(batch["input_ids"], batch["attention_mask"])
        torch.autograd.backward(loss(logits, batch["labels"]))
        network.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()  # a GPU computes on while the clock is read
        taken_s.append(time.perf_counter() - start_s)
    return float(np.mean(taken_s[len(warm_up) :])) * len(order) / size * 1.1  # the optimiser and the evaluations


FIRST_SPREAD: Final = 0.1  # of the head's first weights, by that of torch's linear layers
LEAST_RATE: Final = 1e-4  # share of movies that the head's first bias takes for a genre at least

# Dropout draws from torch's one generator, and every training seeds it: one with dropout has to run by itself.
_CHANGED = threading.Condition()
_RUNNING: list[bool] = []  # whether each of the trainings that run has dropout


@dataclass(frozen=True)
class FineTuned:
    """What a training gave: the network, what was measured on the way, and what was done."""

    network: GenreNetwork
    history: list[dict[str, float]]
    counts: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def turn(dropout: float, n_threads: int) -> Iterator[None]:
    """Wait for the turn to train, by itself if there is dropout, and compute with some threads."""
    has_dropout = dropout > 0
    with _CHANGED:
        _CHANGED.wait_for(lambda: not _RUNNING or not (has_dropout or any(_RUNNING)))
        _RUNNING.append(has_dropout)
    try:
        torch.set_num_threads(n_threads)
        yield
    finally:
        with _CHANGED:
            _RUNNING.remove(has_dropout)
            _CHANGED.notify_all()


def new_network(encoder: Any, Y: Any, dropout: float, seed: int) -> GenreNetwork:
    """Return a network with a head drawn by the seed, whose first scores are each genre's share of train."""
    generator = torch.Generator().manual_seed(seed)  # its own: trainings side by side share torch's
    network = GenreNetwork(encoder, Y.shape[1], dropout)
    spread = FIRST_SPREAD / math.sqrt(network.head.in_features)
    share = np.clip(Y.mean(axis=0), LEAST_RATE, 1 - LEAST_RATE)
    with torch.no_grad():
        nn.init.uniform_(network.head.weight, -spread, spread, generator)
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share)).astype(np.float32)))
    return network


def train_within(
    network: GenreNetwork, parts: tuple[LabelledTokens, LabelledTokens], model: TransformerSpec, folder: Path, seed: int
) -> FineTuned:
    """Train a network as its specification says and within its budget; say what was done.

    Raises:
        ModelError: as `fine_tune`.
    """
    train, _ = parts
    choices = model.training
    loss = loss_function(model.loss, torch.from_numpy(train.Y.sum(axis=0)), len(train))
    budget_s = None if choices.budget_minutes is None else choices.budget_minutes * 60
    plan = planned_before(folder) or make_plan(network, train, choices, loss, budget_s)
    logger.info("%s: %s; on %s, in %s", model.name, plan.why, device_name(), precision_of(choices))
    keep_plan(plan, folder)
    if plan.first_layer is None:
        fit_head(network, train, seed)
        done = FineTuned(network, [], {"device": str(choose_device())})
    else:
        freeze_below(network, plan.first_layer)
        job = Job(*parts, loss, folder, seed)
        done = fine_tune(network, job, choices.model_copy(update={"epochs": plan.epochs}))
    return replace(done, counts={"plan": plan.why, "epochs": plan.epochs, **done.counts})


def fit_head(network: GenreNetwork, train: LabelledTokens, seed: int) -> None:
    """Fit the head alone: a logistic regression on what the encoder gives."""
    device = choose_device()
    encoder = network.encoder.to(device).eval()
    with torch.inference_mode():
        pooled = compute_rows(
            "embed for the head",
            lambda ids, mask: mean_pool(encoder, ids.to(device), mask.to(device)),
            train.tokens,
            encoder.config.pad_token_id or 0,
            encoder.config.hidden_size,
        )
    fitted = LogisticRegression(random_state=seed).fit(pooled, train.Y)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(np.ascontiguousarray(fitted.coef_)))
        network.head.bias.copy_(torch.from_numpy(fitted.intercept_))


def fine_tune(network: GenreNetwork, job: Job, choices: FineTuning) -> FineTuned:
    """Train a network on train and return it as it was when it was best on validation.

    Checkpoints go to the job's folder; where it holds some already, training goes on from the last whole one and ends
    where it would have ended.

    Raises:
        ModelError: the loss is not finite, or memory does not suffice for half a batch at a time.
    """
    start = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    for attempt in (choices, _halved(choices)):
        forget_precision()
        before = last_whole(job.folder)
        if before:
            logger.info("%s: goes on from %s", job.folder.name, before.name)
        trainer = new_trainer(network, job, attempt)
        try:
            trainer.train(resume_from_checkpoint=str(before) if before else None)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if attempt is not choices or choices.batch_size < 2:
                piece = max(1, choices.batch_size // attempt.accumulate)
                raise ModelError(
                    f"memory does not suffice for {piece} movies at a time; lower batch_size or max_tokens"
                ) from error
            logger.warning("memory does not suffice for %d movies at a time: half of it is tried", choices.batch_size)
            _forget(network)
            network.load_state_dict(start)
            continue
        # Accelerate has put its own precision around the network; what is stored and scores is the network alone.
        trainer.accelerator.unwrap_model(network, keep_fp32_wrapper=False)
        history = [dict(entry) for entry in trainer.state.log_history]
        best = trainer.state.best_metric
        result = {
            "steps": max(entry["step"] for entry in history if "eval_jaccard" in entry),  # the last is evaluated
            "best_jaccard": None if best is None else round(best, 4),
            "device": str(trainer.args.device),
            "precision": precision_of(choices),
            "accumulate": attempt.accumulate,
        }
        return FineTuned(network, history, result)
    raise AssertionError("the second attempt returns or raises")


def remove_checkpoints(folder: Path) -> None:
    """Remove what a finished training does not need any more."""
    shutil.rmtree(folder, ignore_errors=True)


def _halved(choices: FineTuning) -> FineTuning:
    return choices.model_copy(update={"accumulate": choices.accumulate * 2})


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _forget(network: nn.Module) -> None:
    network.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


ROOM: Final = Path(__file__).parents[1]
HISTORY_FILE: Final = "history.csv"
HISTORY_COLUMNS: Final = ("step", "epoch", "train_loss", "validation_loss", "validation_jaccard", "learning_rate")
TRANSFORMER_FILES: Final = (MODEL_FILE, *FILES, "head.safetensors", "network-int8.onnx")


def train_transformer(paths: DataPaths, model: TransformerSpec, choices: TrainChoices, n_threads: int) -> StageResult:
    """Fine-tune an encoder on train and write it as `train_model` writes a model, with `history.csv` beside it.

    `history.csv` has one row an evaluation: loss on train since the one before, loss and Jaccard on validation.
    Checkpoints are in `data/checkpoints/` until the model is written: a killed training goes on from there.

    Args:
        paths: the data folder.
        model: what to train.
        choices: on which movies and genres, and the seed.
        n_threads: that torch computes with. One each for two trainings side by side is faster than two for one after
            the other: threads of one training wait for each other in every layer.

    Raises:
        ModelError: the encoder cannot be had or reads fewer tokens than it should, no movie is in validation, the loss
            is not finite, or memory does not suffice.
        ConfigError: a chosen genre does not exist.
        DataError: no movie is in train, or the splits do not belong to the clean table.
    """
    stage = Stage(
        name="train",
        folder=paths.models / model.name,
        outputs=(
            *(f"{MODEL_FOLDER}/{name}" for name in TRANSFORMER_FILES),
            *(f"scores_{part}.parquet" for part in SCORED_PARTS),
            FIT_FILE,
            HISTORY_FILE,
        ),
        inputs=(paths.movies, paths.splits, paths.genres_json, *encoder_files(find_encoder(model.encoder))),
        config={"model": config_dict(model), **asdict(choices)},
        code=(Path(__file__),),
        packages=("accelerate", "numpy", "tokenizers", "torch", "transformers"),
    )
    return run_stage(stage, partial(_build, paths, model, choices, n_threads))


def _build(
    paths: DataPaths, model: TransformerSpec, choices: TrainChoices, n_threads: int, folder: Path
) -> Mapping[str, Any]:
    encoder = find_encoder(model.encoder)
    with IMPORTING:  # torch takes seconds to import
        from tasks.models.encoder.model import TransformerModel  # noqa: PLC0415
        from tasks.models.encoder.network import check_length, tokenise  # noqa: PLC0415
        from tasks.models.encoder.trainer import LabelledTokens  # noqa: PLC0415

    movies = read_movies(paths)
    genres = chosen_genres(read_genres(paths), choices)
    Y = truth_matrix(movies.get_column("genres").to_list(), genres, ignored=read_genres(paths))
    tokenizer, loaded = load_tokenizer(encoder), load_network(encoder, model.training.dropout)
    check_length(loaded, model.max_tokens)
    part = movies.get_column("part").cast(pl.String)
    train, validation = train_rows(movies, choices.train_on), (part == "validation").to_numpy()
    if not validation.any():
        raise ModelError(
            "fine-tuning chooses its best epoch on validation, and no movie is in it; run flows/prepare.py with a "
            "larger share for it"
        )
    texts = np.array(read_template(movies, model.input, model.template), dtype=object)
    parts = (
        LabelledTokens(tokenise(texts[train].tolist(), tokenizer, model.max_tokens), Y[train]),
        LabelledTokens(tokenise(texts[validation].tolist(), tokenizer, model.max_tokens), Y[validation]),
    )
    n_truncated = parts[0].tokens.n_truncated
    if n_truncated:
        share = n_truncated / len(parts[0])
        logger.info(
            "%s: %d train texts (%.1f %%) are cut at %d tokens", model.name, n_truncated, 100 * share, model.max_tokens
        )
    checkpoints = paths.checkpoints / _key(model, choices, encoder, parts)
    start_s = time.perf_counter() - spent_s(checkpoints)  # what a killed training took counts, too
    with turn(model.training.dropout, n_threads):
        network = new_network(loaded, Y[train], model.training.dropout, choices.seed)
        done = train_within(network, parts, model, checkpoints, choices.seed)
    fit_s = time.perf_counter() - start_s
    logger.info("%s: trained on %s movies in %.0f s", model.name, f"{train.sum():,}", fit_s)
    fitted = TransformerModel(model, genres, done.network, tokenizer)
    for name in SCORED_PARTS:
        some = movies.filter(part == name)
        write_scores(folder / f"scores_{name}.parquet", some["movie_id"].to_list(), fitted.scores(some), genres)
    save_model(fitted, movies.head(RATE_SAMPLE), fit_s, folder)
    _write_history(done.history, folder / HISTORY_FILE)
    remove_checkpoints(checkpoints)
    return {"train_movies": int(train.sum()), "truncated_texts": n_truncated, **done.counts}


def _key(model: TransformerSpec, choices: TrainChoices, encoder: Path, parts: Sequence[Any]) -> str:
    """Return the name of the checkpoints of this very training: what it is of, and on which texts and genres."""
    what = [config_dict(model), asdict(choices), hash_files(encoder_files(encoder))]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for part in parts:
        digest.update(part.tokens.ids.tobytes() + part.tokens.starts.tobytes() + part.Y.tobytes())
    return f"{model.name}-{digest.hexdigest()[:12]}"


def _write_history(history: list[dict[str, float]], path: Path) -> None:
    """Write what the trainer noted at each evaluation: first a line of its own for train, then one for validation."""
    rows: dict[float, dict[str, float]] = {}
    names = {
        "loss": "train_loss",  # what the trainer calls train_loss is the mean of the whole training, at its end
        "eval_loss": "validation_loss",
        "eval_jaccard": "validation_jaccard",
        "learning_rate": "learning_rate",
    }
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"], "epoch": round(entry["epoch"], 4)})
        row |= {names[name]: value for name, value in entry.items() if name in names}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for row in rows.values() if "validation_loss" in row)
