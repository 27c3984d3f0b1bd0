"""What is trained within a time budget, and with few genres."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tasks.models.encoder import trainer
from tasks.models.encoder.model import new_network
from tasks.models.encoder.trainer import GenreTrainer, layers_of
from tasks.models.spec import LogWeighted

SEED = 5


@pytest.fixture
def train(new_encoder, parts, tuned, tmp_path):
    """A function that trains within a minute, in a folder that stays the same."""
    in_a_minute = tuned.model_copy(update={"training": tuned.training.model_copy(update={"budget_minutes": 1.0})})

    def train_within_a_minute():
        network = new_network(new_encoder(), parts[0].Y, 0.1, SEED)
        return trainer.train_within_budget(network, parts, in_a_minute, tmp_path / "run", SEED)

    return train_within_a_minute


def let_epochs_take(monkeypatch, seconds):
    """Let an epoch of all layers above the first, the second, ... take so long."""

    def measured(network, *_):
        trains = [next(layer.parameters()).requires_grad for layer in layers_of(network.encoder)]
        return seconds[trains.index(True)]

    monkeypatch.setattr(trainer, "measure_epoch_s", measured)


@pytest.fixture
def epochs_that_take(request, monkeypatch):
    let_epochs_take(monkeypatch, request.param)


@pytest.mark.parametrize(
    ("epochs_that_take", "trained", "why"),
    [
        ([1.0], {"embeddings", "layer.0", "layer.1"}, "2 of 2 epochs of all layers fit 60 s"),
        ([40.0], {"embeddings", "layer.0", "layer.1"}, "1 of 2 epochs of all layers fit 60 s"),
        ([80.0, 30.0], {"layer.1"}, "2 of 2 epochs of layers 1 and above fit 60 s"),
        ([80.0, 70.0], set(), "no epoch fits 60 s: only the head is trained"),
    ],
    ids=["all", "fewer epochs", "upper layers", "head only"],
    indirect=["epochs_that_take"],
)
@pytest.mark.usefixtures("epochs_that_take")
def test_a_budget_buys_fewer_epochs_then_fewer_layers_then_the_head(train, new_encoder, trained, why):
    done = train()
    assert done.counts["plan"] == why
    assert done.counts["epochs"] == (int(why[0]) if trained else 0)
    before, after = new_encoder().state_dict(), done.network.encoder.state_dict()
    changed = {name for name in after if not torch.equal(after[name].cpu(), before[name])}
    assert {part for part in ("embeddings", "layer.0", "layer.1") if any(part in name for name in changed)} == trained


def test_a_resumed_training_keeps_its_plan(train, monkeypatch):
    let_epochs_take(monkeypatch, [40.0])
    with monkeypatch.context() as patch:
        patch.setattr(GenreTrainer, "compute_loss", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train()
    let_epochs_take(monkeypatch, [1.0])  # on another machine, or with less load
    counts = train().counts
    assert (counts["epochs"], counts["steps"]) == (1, 8)


def test_without_a_budget_nothing_is_measured(new_encoder, parts, tuned, monkeypatch, tmp_path):
    monkeypatch.setattr(trainer, "measure_epoch_s", None)
    network = new_network(new_encoder(), parts[0].Y, 0.1, SEED)
    assert trainer.train_within_budget(network, parts, tuned, tmp_path / "run", SEED).counts["plan"] == "no time budget"


def test_measuring_an_epoch_leaves_the_network_as_it_is(new_encoder, job, choices):
    network = new_network(new_encoder(), job.train.Y, choices.dropout, SEED)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert trainer.measure_epoch_s(network, job.train, choices, job.loss) > 0
    assert all(torch.equal(value.cpu(), before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_head_alone_predicts_genres(new_encoder, parts):
    train_part, _ = parts
    network = new_network(new_encoder(), train_part.Y, 0.1, SEED)
    trainer.fit_head(network, train_part, SEED)
    ids = [torch.from_numpy(train_part.tokens[row].astype(np.int64))[None] for row in range(40)]
    with torch.inference_mode():
        logits = torch.cat([network.to("cpu").eval()(row, torch.ones_like(row)) for row in ids])
    assert ((logits > 0).numpy() == train_part.Y[:40]).mean() > 0.7


@pytest.fixture(params=[0, None], ids=["encoder and head", "head"])
def planned(request, monkeypatch):
    """A plan that trains all, and one that trains only the head."""
    monkeypatch.setattr(trainer, "make_plan", lambda *_: trainer.Plan(1, request.param, "as the test wants"))


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize("present", [[True], [True, True, False]], ids=["one genre", "a genre absent from train"])
def test_few_genres(new_encoder, parts, tuned, tmp_path, present):
    few = tuple(replace(part, Y=part.Y[:, : len(present)] & np.array(present)) for part in parts)
    network = new_network(new_encoder(), few[0].Y, 0.1, SEED)
    done = trainer.train_within_budget(
        network, few, tuned.model_copy(update={"loss": LogWeighted()}), tmp_path / "run", SEED
    )
    assert done.network.head.out_features == len(present)
    assert all(torch.isfinite(value).all() for value in done.network.state_dict().values())
