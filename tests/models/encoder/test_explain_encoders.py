"""Integrated gradients of encoders: complete, what a slow integral gives, and summed to the right words."""

import numpy as np
import polars as pl
import pytest
import torch
from captum.attr import LayerIntegratedGradients

from tasks.decision.calibration import log_odds
from tasks.models import spec
from tasks.models.encoder.frozen import FrozenEncoder, choose_device, load_network, load_tokenizer
from tasks.models.encoder.model import TransformerModel, new_network
from tasks.models.explain import attribution
from tasks.models.explain.attribution import TOLERANCE, TUNED_STEPS, attribute_tokens, explain
from tasks.models.genre_classifier import EnsembleModel
from tasks.models.linear import LogisticRegression
from tasks.models.pipeline import GenreModel
from tasks.models.vectorizers import BagOfWords

GENRES = ("Drama", "Horror", "Western")
TEXTS = ["haunted ghosts blenishing the house", "", "sheriff. outlaw"]


@pytest.fixture(scope="module")
def model(shared_encoder, movies):
    Y = np.array([[genre in genres for genre in GENRES] for genres in movies["genres"]])
    torch.manual_seed(3)
    network = new_network(load_network(shared_encoder), Y, 0.0, seed=3)
    torch.nn.init.normal_(network.head.weight, std=1.0)  # an untrained head hardly tells anything
    tuned = spec.TransformerSpec(name="tiny", encoder=str(shared_encoder), template="{title}[ {year}] {description}")
    return TransformerModel(tuned, GENRES, network, load_tokenizer(shared_encoder))


def attribute(model, text, columns, steps=TUNED_STEPS):
    network = model.network.to(choose_device()).eval().requires_grad_(False)
    return attribute_tokens(network, network.encoder, steps, model.tokenizer.encode(text), columns)


def test_tokens_sum_to_the_score_and_marks_add_nothing(model):
    for text in TEXTS:
        attributed, offsets = attribute(model, text, (0, 1, 2)), model.tokenizer.encode(text).offsets
        scores = model.scores(pl.DataFrame({"movie_name": [""], "description": [text]}))
        np.testing.assert_allclose(attributed.value, log_odds(scores, 1e-6)[0], atol=1e-3)
        difference = attributed.value - attributed.base
        np.testing.assert_allclose(attributed.contributions.sum(axis=0), difference, atol=TOLERANCE)
        is_mark = (np.array(offsets) == 0).all(axis=1)
        np.testing.assert_array_equal(attributed.contributions[is_mark], 0)


def test_the_integral_is_what_many_small_steps_give(model):
    attributed = attribute(model, TEXTS[0], (1, 2), steps=(64,))
    ids = torch.tensor([model.tokenizer.encode(TEXTS[0]).ids], device=choose_device())
    embed = model.network.encoder.get_input_embeddings()
    word, pad = embed(ids).detach(), embed(torch.zeros_like(ids)).detach()
    pad[:, [0, -1]] = word[:, [0, -1]]
    total = torch.zeros_like(word)
    for step in (torch.arange(500) + 0.5) / 500:
        path = (pad + step * (word - pad)).requires_grad_()
        hidden = model.network.encoder(inputs_embeds=path, attention_mask=torch.ones_like(ids)).last_hidden_state
        total += torch.autograd.grad(model.network.head(hidden.mean(1))[0, 1], path)[0] / 500
    expected = ((word - pad) * total).sum(-1)[0]
    np.testing.assert_allclose(attributed.contributions[:, 0], expected.cpu().numpy(), atol=2e-3)


def test_more_steps_are_taken_only_where_few_do_not_suffice(model, monkeypatch):
    taken, integrate = [], LayerIntegratedGradients.attribute

    def look(self, *args, target, n_steps, **kwargs):
        taken.append((n_steps, tuple(target.tolist())))
        return integrate(self, *args, target=target, n_steps=n_steps, **kwargs)

    monkeypatch.setattr(LayerIntegratedGradients, "attribute", look)
    monkeypatch.setattr(attribution, "TOLERANCE", 1e9)
    attribute(model, TEXTS[0], (0, 2))
    monkeypatch.setattr(attribution, "TOLERANCE", -1.0)
    attribute(model, TEXTS[0], (0, 2))
    assert taken == [(16, (0, 2)), *((n_steps, (0, 2)) for n_steps in TUNED_STEPS)]


def test_word_pieces_are_summed_to_words(model):
    movies = pl.DataFrame({"movie_name": ["Blenishing"], "description": ["x-ray ghosts"], "year": [1990]})
    cut, (explanation,) = explain(model, movies, [(0, 1)])
    assert [piece.text for piece in cut.pieces[0]] == ["Blenishing", "x", "-", "ray", "ghosts", "1990"]
    assert (explanation.method, explanation.contributions.shape) == ("integrated-gradients", (6, 2))
    assert explanation.contributions.all()
    np.testing.assert_allclose(explanation.rest, 0, atol=TOLERANCE)
    again = explain(model, movies, [(0, 1)])[1][0]
    np.testing.assert_array_equal(again.contributions, explanation.contributions)


@pytest.fixture(scope="module")
def frozen(shared_encoder, movies):
    representations = (BagOfWords(), FrozenEncoder(encoder=str(shared_encoder), max_tokens=32, weight=2.0))
    frozen = spec.ModelSpec(name="f", representations=representations, classifier=LogisticRegression(C=10))
    return GenreModel(frozen, GENRES, 1).fit(movies)


def test_a_frozen_encoder_is_explained_with_words(frozen, movies):
    some = movies.head(3)
    _, explanations = explain(frozen, some, [(0, 2)] * 3)
    logits = log_odds(frozen.scores(some), 1e-6)[:, [0, 2]]
    for row, explanation in enumerate(explanations):
        assert explanation.method == "mixed"
        np.testing.assert_allclose(explanation.value, logits[row], atol=1e-3)
        np.testing.assert_allclose(explanation.rest, 0, atol=TOLERANCE)


def test_an_ensemble_of_all_kinds_adds_up(model, frozen, movies):
    words = GenreModel(spec.ModelSpec(name="w", classifier=LogisticRegression(C=10)), GENRES, 1).fit(movies)
    ensemble = EnsembleModel("e", {"t": model, "f": frozen, "w": words}, (0.5, (1.0, 0.0, 0.2), 0.3, (0.1, 0.0, -0.2)))
    some = movies.head(3)
    _, explanations = explain(ensemble, some, [(0, 2)] * 3)
    logits = log_odds(ensemble.scores(some), 1e-6)[:, [0, 2]]
    for row, explanation in enumerate(explanations):
        np.testing.assert_allclose(explanation.value, logits[row], atol=1e-3)
        np.testing.assert_allclose(explanation.rest, 0, atol=2 * TOLERANCE)


def test_a_movie_without_a_genre_has_nothing_to_explain(model, frozen, movies):
    words = GenreModel(spec.ModelSpec(name="w", classifier=LogisticRegression(C=10)), GENRES, 1).fit(movies)
    for each in (words, frozen, model, EnsembleModel("e", {"t": model, "f": frozen, "w": words}, (0.5, 0.2, 0.3))):
        _, (first, second) = explain(each, movies.head(2), [(), (1,)])
        assert (first.value.shape, first.contributions.shape[1], second.value.shape) == ((0,), 0, (1,))
