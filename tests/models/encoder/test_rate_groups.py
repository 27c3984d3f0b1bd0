"""Which rate and decay the optimiser has for which weights."""

import pytest
import torch

from tasks.models.encoder.frozen import check_length
from tasks.models.encoder.model import GenreNetwork
from tasks.models.encoder.trainer import freeze_below, layers_of, rate_groups


@pytest.fixture
def network(new_encoder):
    return GenreNetwork(new_encoder(), 3, 0.1)


def by_name(network, groups, what):
    """A group's value of each weight that is in a group."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(parameter)]: group[what] for group in groups for parameter in group["params"]}


def test_rates_fall_from_the_head_to_the_embeddings(network, choices):
    rates = by_name(network, rate_groups(network, choices), "lr")
    top, decay = choices.learning_rate, choices.layer_decay
    assert rates["head.weight"] == top * choices.head_rate
    assert rates["encoder.encoder.layer.1.output.dense.weight"] == top
    assert rates["encoder.encoder.layer.0.output.dense.weight"] == pytest.approx(top * decay)
    assert rates["encoder.embeddings.word_embeddings.weight"] == pytest.approx(top * decay**2)
    assert set(rates) == {name for name, _ in network.named_parameters()}


def test_biases_and_norms_do_not_decay(network, choices):
    decays = by_name(network, rate_groups(network, choices), "weight_decay")
    spared = {name for name, decay in decays.items() if decay == 0}
    assert spared == {name for name in decays if name.endswith("bias") or "LayerNorm" in name}
    assert {decays[name] for name in set(decays) - spared} == {choices.weight_decay}


@pytest.mark.parametrize("first_layer", [1, 2])
def test_frozen_weights_are_in_no_group(network, choices, first_layer):
    freeze_below(network, first_layer)
    names = set(by_name(network, rate_groups(network, choices), "lr"))
    in_layer_1 = {name for name, _ in network.named_parameters() if "layer.1." in name}
    assert names == {"head.weight", "head.bias"} | (in_layer_1 if first_layer == 1 else set())
    freeze_below(network, 0)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_layers_are_found_whatever_they_are_called(network):
    from transformers import DistilBertConfig, DistilBertModel  # noqa: PLC0415 - takes seconds

    assert layers_of(network.encoder) == list(network.encoder.encoder.layer)
    other = DistilBertModel(DistilBertConfig(vocab_size=30, dim=8, hidden_dim=8, n_heads=2, n_layers=3))
    assert layers_of(other) == list(other.transformer.layer)
    check_length(other, 512)
    found = GenreNetwork(other, 3, 0.1)(torch.tensor([[1, 2]]), torch.tensor([[1, 1]]))
    assert found.shape == (1, 3)
