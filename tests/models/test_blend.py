"""Ensembles: what they score, how their weights are found, and their stored form."""

import json

import numpy as np
import pytest

from tasks.core.errors import ModelError
from tasks.core.predictions import read_scores
from tasks.models import linear, spec
from tasks.models.blend import cross_fit_blend, fit_stack, fit_weights, train_ensemble
from tasks.models.features import build_features
from tasks.models.genre_classifier import CLIP, EnsembleModel, blend, load_model
from tasks.models.pipeline import GenreModel
from tasks.models.spec import features_of
from tasks.models.train import TrainChoices, train_model

MEMBERS = (
    spec.ModelSpec(name="logreg", classifier=linear.LogisticRegression(C=10)),
    spec.ModelSpec(name="bayes", classifier=linear.NaiveBayes()),
)
ENSEMBLE = spec.EnsembleSpec(name="both", members=("logreg", "bayes"))


@pytest.fixture
def noisy():
    """A truth, a member that knows it well, one that knows it a little, and one that knows nothing."""
    rng = np.random.default_rng(4)
    truth = rng.random((400, 3)) < 0.4
    logits = [strength * (2 * truth - 1) + rng.normal(size=truth.shape) for strength in (1.5, 0.7, 0)]
    return truth, [(1 / (1 + np.exp(-z))).astype(np.float32) for z in logits]


def log_loss(scores, truth):
    return -np.log(np.where(truth, scores, 1 - scores).clip(1e-9)).mean()


def test_blending_adds_weighted_log_odds():
    scores = [np.array([[0.5, 0.8]], dtype=np.float32), np.array([[0.2, 0.8]], dtype=np.float32)]
    odds = 0.8 / 0.2
    np.testing.assert_allclose(blend(scores, (1.0, 2.0)), [[1 / (1 + odds**2), 1 - 1 / (1 + odds**3)]], rtol=1e-5)
    certain = blend([np.array([[0.0, 1.0]], dtype=np.float32)], (1.0,))
    np.testing.assert_allclose(certain, [[CLIP, 1 - CLIP]], rtol=1e-4)


def test_weights_are_those_of_the_least_loss(noisy):
    truth, scores = noisy
    weights = np.array(fit_weights(scores, truth))
    assert (weights >= 0).all()
    assert weights[0] > weights[1] > weights[2]
    least = log_loss(blend(scores, tuple(weights)), truth)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 0.05:
        assert log_loss(blend(scores, tuple(np.maximum(weights + step, 0))), truth) >= least - 1e-7


def test_cross_fitted_scores_do_not_rest_on_their_own_truth(noisy):
    truth, scores = noisy
    turned = truth.copy()
    turned[::5] = ~turned[::5]
    np.testing.assert_array_equal(cross_fit_blend(scores, turned)[::5], cross_fit_blend(scores, truth)[::5])
    assert not np.array_equal(cross_fit_blend(scores, turned)[1::5], cross_fit_blend(scores, truth)[1::5])


def test_a_stack_weighs_members_for_each_genre_and_stays_near_the_blend_where_little_is_known(noisy):
    truth, scores = noisy
    swapped = [scores[0].copy(), scores[2].copy()]
    swapped[0][:, 2], swapped[1][:, 2] = scores[2][:, 2], scores[0][:, 2]  # for the third genre the other one knows
    *weights, bias = np.array(fit_stack(swapped, truth))
    assert (np.array(weights) >= 0).all()
    assert (weights[0] > weights[1]).tolist() == [True, True, False]
    assert log_loss(blend(swapped, fit_stack(swapped, truth)), truth) < log_loss(
        blend(swapped, fit_weights(swapped, truth)), truth
    )
    few = [member[:2] for member in swapped]
    *near, _ = np.array(fit_stack(few, truth[:2]))
    np.testing.assert_allclose(near, np.tile(np.array(fit_weights(few, truth[:2]))[:, None], 3), atol=0.2)
    assert bias.shape == (3,)


def test_a_stack_is_stored_whole(movies, tmp_path):
    genres = ("Drama", "Horror", "Western")
    members = {member.name: GenreModel(member, genres, 1).fit(movies) for member in MEMBERS}
    stack = EnsembleModel("both", members, ((0.5, 1.0, 0.2), (0.5, 0.0, 0.7), (0.1, -0.2, 0.0)))
    stack.save(tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path).scores(movies), stack.scores(movies))


def test_an_ensemble_is_trained_from_saved_scores_and_stored_whole(prepared, movies):
    trained = []
    for member in MEMBERS:
        features = [build_features(prepared, part, 1) for part in features_of(member)]
        trained.append(train_model(prepared, member, features, TrainChoices(seed=1)))
    result = train_ensemble(prepared, ENSEMBLE, MEMBERS, trained)
    assert set(result.counts["weights"]) == {"logreg", "bayes"}
    model = load_model(result.folder / "model")
    assert isinstance(model, EnsembleModel)
    expected = read_scores(result.folder / "scores_test.parquet").scores
    np.testing.assert_array_equal(model.scores(movies[270:]), expected)
    costs = [json.loads((each.folder / "fit.json").read_text())["fit_s"] for each in (result, *trained)]
    assert costs[0] > sum(costs[1:])
    assert train_ensemble(prepared, ENSEMBLE, MEMBERS, trained).skipped


def test_damaged_or_foreign_folders_are_refused(movies, tmp_path):
    genres = ("Drama", "Horror", "Western")
    members = {member.name: GenreModel(member, genres, 1).fit(movies) for member in MEMBERS}
    EnsembleModel("both", members, (0.5, 0.5)).save(tmp_path)
    np.testing.assert_array_equal(
        load_model(tmp_path).scores(movies), EnsembleModel("both", members, (0.5, 0.5)).scores(movies)
    )
    stored = tmp_path / "model.json"
    stored.write_text(stored.read_text().replace("[0.5, 0.5]", "[0.5]"), encoding="utf-8")
    with pytest.raises(ModelError, match="do not belong together"):
        load_model(tmp_path)
    stored.write_text("[", encoding="utf-8")
    with pytest.raises(ModelError, match="incomplete or damaged"):
        load_model(tmp_path)
    with pytest.raises(ModelError, match="incomplete or damaged"):
        load_model(tmp_path / "nowhere")
