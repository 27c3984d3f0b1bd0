"""What of an encoder is trained within a time budget. Owns the plan, what it rests on, and how it is kept."""

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from tasks.models.encoder.batches import LabelledTokens, collate
from tasks.models.encoder.losses import LossFunction
from tasks.models.encoder.network import GenreNetwork, choose_device, layers_of, uses_bfloat16
from tasks.models.fine_tuning import FineTuning
from tasks.stage import write_atomically

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
