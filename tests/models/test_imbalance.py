"""What is done about rare genres: how many synthetic movies there are, of what they are made, and who sees them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from scipy import sparse
from sklearn import svm

from tasks.models import linear
from tasks.models.linear import TwoClassProblem, logistic_weights
from tasks.models.pipeline import GenreModel
from tasks.models.spec import Imbalance, ModelSpec

RARE = 40


@pytest.fixture
def marked():
    """200 movies, each with a word of its own beside three shared ones; genre A has 40 of them, genre B has 80."""
    shared = np.random.default_rng(2).random((200, 3))
    X = sparse.csr_array(np.hstack([np.eye(200), shared]).astype(np.float32))
    Y = np.column_stack([np.arange(200) % 5 == 0, np.arange(200) % 5 < 2])
    return TwoClassProblem(X, Y[:, 0], "A", 1, smote_ratio=0.5), TwoClassProblem(X, Y[:, 1], "B", 1, smote_ratio=0.5)


def test_smote_reaches_the_ratio_and_keeps_the_real_movies(marked):
    problem, _ = marked
    resampled = problem.resampled()
    assert resampled.y.sum() == 0.5 * (~resampled.y).sum() == 80
    np.testing.assert_array_equal(resampled.X[:200].toarray(), problem.X.toarray())
    np.testing.assert_array_equal(resampled.y[:200], problem.y)


def test_synthetic_movies_lie_between_two_real_ones_of_the_genre(marked):
    problem, _ = marked
    made = problem.resampled().X[200:].toarray()
    real = problem.X.toarray()
    assert len(made) == RARE
    for row in made:
        ends = np.flatnonzero(row[:200])
        assert problem.y[ends].all()
        assert len(ends) in {1, 2}
        np.testing.assert_allclose(row[ends].sum(), 1, atol=1e-6)
        np.testing.assert_allclose(row, row[ends] @ real[ends], atol=1e-5)


def test_genre_that_has_the_ratio_already_is_left_alone(marked):
    _, problem = marked
    assert problem.resampled() is problem


@pytest.mark.parametrize("positives", range(2, 8))
def test_less_than_one_synthetic_movie_is_none(marked, positives):
    problem = replace(marked[0], X=marked[0].X[:19], y=np.arange(19) < positives)
    assert problem.resampled().y.sum() == max(positives, (19 - positives) // 2)


def test_only_the_asked_genres_are_treated(marked):
    imbalance = Imbalance(smote_ratio=1, balanced=True, genres=("B",))
    asked = ModelSpec(name="m", classifier=linear.LinearSVM(), imbalance=imbalance)
    classifier = asked.new_classifier(("A", "B"), 1)
    X, Y = marked[0].X, np.column_stack([problem.y for problem in marked])
    classifier.classes_ = np.array(["A", "B"])
    untreated, treated = (classifier._problem(X, Y, column) for column in range(2))
    assert untreated.resampled() is untreated
    assert untreated.class_weight is None
    assert treated.resampled().y.sum() == 120
    assert treated.class_weight == "balanced"


def test_same_seed_same_synthetic_movies_and_another_seed_others(marked):
    one, again, other = (replace(marked[0], random_state=seed).resampled().X.toarray() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_one_movie_has_no_other_to_make_synthetic_ones_with(marked, caplog):
    alone = replace(marked[0], y=np.arange(200) == 7)
    assert alone.resampled().y.sum() == 1
    assert "A: only one train movie has it" in caplog.text


def held_out_words(X):
    """Which movies have left nothing of themselves in the vectors that a model was fitted on."""
    return set(np.flatnonzero(np.asarray(X[:, :200].sum(axis=0)).ravel() == 0).tolist())


def test_calibration_margins_are_of_movies_that_no_synthetic_one_is_made_of(marked, monkeypatch):
    fitted_on, scored = [], []
    original = svm.LinearSVC.fit
    monkeypatch.setattr(svm.LinearSVC, "fit", lambda self, X, y: fitted_on.append(X) or original(self, X, y))
    classifier = linear.LinearSVM(calibration_folds=4, smote_ratio=0.5)
    classifier.fit(marked[0].X, marked[0].y[:, None])
    whole, *folds = fitted_on
    assert whole.shape[0] == 240
    for X in folds:
        assert X.shape[0] == 120 + 60  # 30 real and 30 synthetic movies of the genre
        scored += held_out_words(X)
    assert sorted(scored) == list(range(200))


def test_second_level_learns_from_movies_that_no_synthetic_one_is_made_of(marked):
    scored = []

    def fit_genre(problem):
        resampled = problem.resampled()
        scored.extend(held_out_words(resampled.X))
        return logistic_weights(resampled, 1.0)

    classifier = linear.StackedLogisticRegression(smote_ratio=0.5)
    classifier.classes_ = np.array(["A"])
    classifier._fit_genre = fit_genre
    classifier._held_out_logits(marked[0].X, marked[0].y[:, None], 4)
    assert sorted(scored) == list(range(200))


@pytest.mark.parametrize("imbalance", [Imbalance(balanced=True), Imbalance(smote_ratio=1)], ids=["balanced", "smote"])
def test_treatment_raises_a_rare_genre_or_is_refused(model_spec, movies, imbalance):
    kind = model_spec.classifier
    if not kind.treats_imbalance:
        with pytest.raises(ValidationError, match="takes no balanced weights"):
            type(model_spec)(name="m", classifier=kind, imbalance=imbalance)
        return
    western = movies.get_column("genres").list.contains("Western").to_numpy()
    fewer = movies[np.flatnonzero(~western | (np.arange(300) % 8 == 0))]
    hint = pl.DataFrame({"description": ["sheriff in an old town"]})
    untreated, treated = (
        GenreModel(model_spec.model_copy(update={"imbalance": treatment}), ("Drama", "Horror", "Western"), 1)
        .fit(fewer)
        .scores(hint)[0, 2]
        for treatment in (Imbalance(), imbalance)
    )
    if kind.kind in {"linear-svm", "stacked-logistic-regression"}:
        assert treated != untreated  # what is below changes, but is scaled to the real proportions
        return
    assert treated > untreated
