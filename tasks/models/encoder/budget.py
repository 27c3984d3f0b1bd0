"""Fine-tuning within a time budget, and the limit on trainings that run at the same time."""

import contextlib
import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch

from tasks.models.encoder.network import GenreNetwork, choose_device, embed, layers_of, training_precision
from tasks.models.encoder.trainer import FineTuned, Job, LabelledTokens, LossFunction, collate, fine_tune, loss_function
from tasks.models.linear import LogisticRegression
from tasks.models.spec import FineTuning, TransformerSpec
from tasks.stage import write_atomically

logger = logging.getLogger(__name__)

PLAN_FILE: Final = "plan.json"
TIMED_BATCHES: Final = 5
OVERHEAD: Final = 1.1  # factor for the optimiser and the evaluations

# Dropout draws from torch's global generator, which every training seeds: a training with dropout runs alone.
_CHANGED = threading.Condition()
_RUNNING: list[bool] = []  # for each running training: whether it has dropout


@contextlib.contextmanager
def training_slot(dropout: float, n_threads: int) -> Iterator[None]:
    """Wait until a training may run, alone if it has dropout, and set the number of threads."""
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


@dataclass(frozen=True)
class Plan:
    """The number of epochs and the layers to train, and why."""

    epochs: int
    first_layer: int | None  # the lowest to train; 0: all and the embeddings, None: only the head
    why: str


def train_within_budget(
    network: GenreNetwork, parts: Sequence[LabelledTokens], model: TransformerSpec, folder: Path, seed: int
) -> FineTuned:
    """Train a network on (train, validation) as its specification says.

    Raises:
        ModelError: as `fine_tune`.
    """
    train, validation = parts
    choices = model.training
    loss = loss_function(model.loss, torch.from_numpy(train.Y.sum(axis=0)), len(train))
    try:  # a resumed training keeps its plan, since new measurements may differ
        plan = Plan(**json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        plan = make_plan(network, train, choices, loss)
        write_atomically(folder / PLAN_FILE, json.dumps(asdict(plan)) + "\n")
    device = choose_device()
    device_name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    logger.info("%s: %s; on %s, in %s", model.name, plan.why, device_name, training_precision(choices))
    if plan.first_layer is None:
        fit_head(network, train, seed)
        done = FineTuned(network, [], {"device": str(device)})
    else:
        freeze_below(network, plan.first_layer)
        job = Job(train, validation, loss, folder, seed)
        done = fine_tune(network, job, choices.model_copy(update={"epochs": plan.epochs}))
    return replace(done, counts={"plan": plan.why, "epochs": plan.epochs, **done.counts})


def make_plan(network: GenreNetwork, train: LabelledTokens, choices: FineTuning, loss: LossFunction) -> Plan:
    """Return the best training that fits the budget: fewer epochs, then the upper half of the layers, then the head.

    The time of an epoch is measured on some batches, so with a budget the result depends on the machine.
    """
    if choices.budget_minutes is None:
        return Plan(choices.epochs, 0, "no time budget")
    budget_s = choices.budget_minutes * 60
    for first_layer in (0, (len(layers_of(network.encoder)) + 1) // 2):
        freeze_below(network, first_layer)
        epoch_s = measure_epoch_s(network, train, choices, loss)
        epochs = min(choices.epochs, math.floor(budget_s / epoch_s))
        which = "all layers" if first_layer == 0 else f"layers {first_layer} and above"
        logger.info("an epoch of %s takes about %.0f s, the budget is %.0f s", which, epoch_s, budget_s)
        if epochs:
            return Plan(epochs, first_layer, f"{epochs} of {choices.epochs} epochs of {which} fit {budget_s:.0f} s")
    return Plan(0, None, f"no epoch fits {budget_s:.0f} s: only the head is trained")


def freeze_below(network: GenreNetwork, first_layer: int) -> None:
    """Freeze the encoder below a layer; 0 freezes nothing."""
    network.encoder.requires_grad_(first_layer == 0)
    for layer in layers_of(network.encoder)[first_layer:]:
        layer.requires_grad_(True)


def measure_epoch_s(network: GenreNetwork, train: LabelledTokens, choices: FineTuning, loss: LossFunction) -> float:
    """Return the estimated seconds of an epoch, from batches of all lengths; the network is not changed."""
    device = choose_device()
    network.to(device).train()
    order = np.argsort(train.tokens.lengths, kind="stable")
    size = min(choices.batch_size, len(order))
    n_batches = max(1, len(order) // size)
    chosen = np.linspace(0, n_batches - 1, min(TIMED_BATCHES, n_batches)).round().astype(int)
    warm_up = chosen if device.type == "cuda" else chosen[:1]  # a GPU compiles for each length
    use_bfloat16 = training_precision(choices) == "bfloat16"
    taken_s: list[float] = []
    for number in [*warm_up, *chosen]:
        items = [train[row] for row in order[number * size : (number + 1) * size]]
        batch = {name: value.to(device) for name, value in collate(items, 0).items()}
        start_s = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16):
            logits = network(batch["input_ids"], batch["attention_mask"])
        torch.autograd.backward(loss(logits, batch["labels"]))
        network.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()  # a GPU computes asynchronously
        taken_s.append(time.perf_counter() - start_s)
    return float(np.mean(taken_s[len(warm_up) :])) * len(order) / size * OVERHEAD


def fit_head(network: GenreNetwork, train: LabelledTokens, seed: int) -> None:
    """Fit the head alone, as a logistic regression on the encoder's pooled output."""
    pooled = embed("embed for the head", network.encoder, train.tokens)
    fitted = LogisticRegression(random_state=seed).fit(pooled, train.Y)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(np.ascontiguousarray(fitted.coef_)))
        network.head.bias.copy_(torch.from_numpy(fitted.intercept_))
