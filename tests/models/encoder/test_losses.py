"""The losses, against their formulas written out and against numerical gradients."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.models.encoder.model import log_weights, loss_function
from tasks.models.spec import Asymmetric, BinaryCrossEntropy, Focal, LogWeighted

N_MOVIES = 50
COUNTS = torch.tensor([3, 20, 11])
LOSSES = {
    "bce": BinaryCrossEntropy(),
    "log-weighted": LogWeighted(),
    "focal": Focal(),
    "focal, slow to fade": Focal(alpha=0.7, gamma=0.5),
    "asymmetric": Asymmetric(),
    "asymmetric, slow to fade": Asymmetric(gamma_positive=0.5, gamma_negative=0.25, margin=0.1),
}


def reference(loss, logits, labels):
    """The mean over movies and genres, one after the other, as the docstrings of the losses have it."""
    raw = [math.log(N_MOVIES / (count + 1)) for count in COUNTS.tolist()]
    total = 0.0
    for movie_logits, movie_labels in zip(logits.tolist(), labels.tolist(), strict=True):
        for genre, (logit, label) in enumerate(zip(movie_logits, movie_labels, strict=True)):
            p = 1 / (1 + math.exp(-logit))
            match loss:
                case BinaryCrossEntropy():
                    total += -math.log(p if label else 1 - p)
                case LogWeighted():
                    total += -math.log(p if label else 1 - p) * raw[genre] / (sum(raw) / len(raw))
                case Focal():
                    of_truth, a = (p, loss.alpha) if label else (1 - p, 1 - loss.alpha)
                    total += -a * (1 - of_truth) ** loss.gamma * math.log(of_truth)
                case Asymmetric() if label:
                    total += -((1 - p) ** loss.gamma_positive) * math.log(p)
                case Asymmetric():
                    shifted = max(p - loss.margin, 0)
                    total += -(shifted**loss.gamma_negative) * math.log(1 - shifted)
    return total / logits.numel()


@pytest.fixture(params=LOSSES.values(), ids=LOSSES)
def loss(request):
    return request.param


@pytest.fixture
def batch():
    """Logits and labels of 8 movies and 3 genres in float64."""
    generator = torch.Generator().manual_seed(3)
    logits = 4 * torch.randn(8, 3, generator=generator, dtype=torch.float64)
    return logits, (torch.rand(8, 3, generator=generator) < 0.4).double()


def test_a_loss_is_its_formula(loss, batch):
    found = loss_function(loss, COUNTS, N_MOVIES)(*batch)
    assert found.shape == ()
    assert found.item() == pytest.approx(reference(loss, *batch), rel=1e-6)


def test_gradients_are_those_of_small_differences(loss, batch):
    logits, labels = batch
    function = loss_function(loss, COUNTS, N_MOVIES)
    assert torch.autograd.gradcheck(lambda x: function(x, labels), logits.requires_grad_(), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [20.0, 200.0, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(loss, size, dtype):
    logits = torch.tensor([[size, -size, 0.0], [-size, size, 0.0]], dtype=dtype, requires_grad=True)
    labels = torch.tensor([[1, 0, 1], [1, 0, 0]], dtype=dtype)
    value = loss_function(loss, COUNTS, N_MOVIES)(logits, labels)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_all_that_is_sure_and_right_costs_nothing(loss):
    labels = torch.tensor([[1.0, 0.0, 1.0]])
    assert loss_function(loss, COUNTS, N_MOVIES)(1e4 * (2 * labels - 1), labels).item() == pytest.approx(0, abs=1e-6)


def test_focal_loss_that_does_not_fade_is_half_of_cross_entropy(batch):
    half = loss_function(Focal(alpha=0.5, gamma=0), COUNTS, N_MOVIES)(*batch)
    torch.testing.assert_close(2 * half, loss_function(BinaryCrossEntropy(), COUNTS, N_MOVIES)(*batch))


def test_asymmetric_loss_that_does_not_fade_is_cross_entropy(batch):
    plain = loss_function(Asymmetric(gamma_positive=0, gamma_negative=0, margin=0), COUNTS, N_MOVIES)(*batch)
    torch.testing.assert_close(plain, loss_function(BinaryCrossEntropy(), COUNTS, N_MOVIES)(*batch))


def test_the_rarer_a_genre_the_more_it_weighs():
    found = log_weights(torch.tensor([0, 9, 99]), 100).double().numpy()
    raw = np.log([100 / 1, 100 / 10, 100 / 100])
    np.testing.assert_allclose(found, raw / raw.mean(), rtol=1e-6)


@pytest.mark.parametrize(("counts", "n_movies"), [([0], 1), ([7, 7], 8), ([8, 8], 8)])
def test_genres_that_all_have_weigh_alike(counts, n_movies):
    np.testing.assert_array_equal(log_weights(torch.tensor(counts), n_movies).numpy(), np.ones(len(counts)))


@pytest.mark.parametrize(
    ("kind", "values"), [(Focal, {"alpha": 0}), (Focal, {"gamma": -1}), (Asymmetric, {"margin": 1}), (Focal, {"g": 1})]
)
def test_what_makes_no_loss_is_refused(kind, values):
    with pytest.raises(ValidationError):
        kind(**values)
