"""Fine-tuning of an encoder. Owns turns, going on from checkpoints, and what is done when memory runs out."""

import contextlib
import logging
import math
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tasks.errors import ModelError
from tasks.models.encoder.batches import LabelledTokens
from tasks.models.encoder.checkpoints import last_whole
from tasks.models.encoder.losses import loss_function
from tasks.models.encoder.network import (
    GenreNetwork,
    choose_device,
    compute_rows,
    device_name,
    mean_pool,
    precision_of,
)
from tasks.models.encoder.plan import freeze_below, keep_plan, make_plan, planned_before
from tasks.models.encoder.trainer import Job, forget_precision, new_trainer
from tasks.models.fine_tuning import FineTuning
from tasks.models.linear_classifiers import LogisticRegression
from tasks.models.spec import TransformerSpec

logger = logging.getLogger(__name__)

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
