"""Means of word vectors: weights, unknown words, independence of rows and the stored form."""

import subprocess
import sys

import numpy as np
import pytest

from tasks.models.pipeline import load_estimator, save_estimator
from tasks.models.word_vectors import PretrainedVectors, WordVectors

DOCUMENTS = ["ghost house", "ghost Sheriff", "sheriff of the town", "", "?!"]
GLOVE = "ghost 1 0 0\nhouse 0 1 0\nsheriff 0 0 1\nSheriff 1 1 1\nnowhere 9 9 9\n"


@pytest.fixture
def glove(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text(GLOVE, encoding="utf-8")
    return file


@pytest.fixture(params=["pretrained", "word2vec", "fasttext"])
def fitted(request, glove):
    if request.param == "pretrained":
        spec = PretrainedVectors(file=glove)
    else:
        spec = WordVectors(algorithm=request.param, dimensions=6, epochs=1, min_movies=1, buckets=50)
    return spec.fit(DOCUMENTS)


def test_words_count_by_idf_and_means_have_unit_length(glove):
    vectors = PretrainedVectors(file=glove).fit(DOCUMENTS)
    ghost, house = np.log(6 / 3) + 1, np.log(6 / 2) + 1
    expected = np.array([2 * ghost, house, 0]) / np.hypot(2 * ghost, house)
    np.testing.assert_allclose(vectors._unit_means(["ghost house ghost"]), [expected], atol=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_columns_are_standardised_on_the_train_documents_that_have_known_words(glove, weight):
    vectors = PretrainedVectors(file=glove, weight=weight).fit(DOCUMENTS)
    X = vectors.transform(DOCUMENTS[:3]).toarray()
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose((X**2).mean(axis=0), weight**2 / 3, rtol=1e-5)


def test_a_column_that_never_changes_is_zero(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("ghost 1 0 1\nhouse 0 1 1\n", encoding="utf-8")
    vectors = PretrainedVectors(file=file).fit(["ghost", "house"])
    assert (vectors.transform(["ghost", "ghost house"]).toarray()[:, 2] == 0).all()


def test_words_as_written_come_before_their_lower_case(glove):
    vectors = PretrainedVectors(file=glove).fit(DOCUMENTS)
    assert vectors.vocabulary_ == ["Sheriff", "ghost", "house", "sheriff"]
    written, lower, only_lower = vectors._unit_means(["Sheriff", "sheriff", "GHOST"])
    np.testing.assert_allclose(written, np.full(3, 1 / np.sqrt(3)), atol=1e-6)
    np.testing.assert_allclose(lower, [0, 0, 1])
    np.testing.assert_allclose(only_lower, [1, 0, 0])


def test_words_that_only_the_file_has_are_unknown(glove):
    vectors = PretrainedVectors(file=glove).fit(DOCUMENTS)
    assert vectors._unit_means(["nowhere", "ghost nowhere"]).tolist() == [[0, 0, 0], [1, 0, 0]]


def test_documents_without_a_known_word_are_empty_rows(fitted):
    X = fitted.transform([*DOCUMENTS, "a"])
    assert (np.diff(X.indptr) == 0).tolist() == [False, False, False, True, True, True]
    assert fitted.transform([]).shape == (0, len(fitted.get_feature_names_out()))


def test_matrix_is_what_solvers_take(fitted):
    X = fitted.transform(DOCUMENTS)
    assert (X.dtype, X.indices.dtype, X.indptr.dtype) == (np.float32, np.int32, np.int32)
    assert X.has_canonical_format
    assert X.shape == (5, len(fitted.get_feature_names_out()))


def test_rows_do_not_depend_on_each_other(fitted):
    documents = ["house of ghosts", "town", "the house and the unseen town", "", "zzzz ghost house"]
    together = fitted.transform(documents).toarray()
    for row, document in enumerate(documents):
        np.testing.assert_array_equal(fitted.transform([document]).toarray()[0], together[row])
    np.testing.assert_array_equal(fitted.transform(documents[::-1]).toarray()[::-1], together)


def test_stored_form_gives_the_same_bits_and_bytes(fitted, tmp_path):
    files = [tmp_path / "one.skops", tmp_path / "two.skops"]
    stored = fitted
    for file in files:
        save_estimator(stored, file, [])
        stored = load_estimator(file, [])
    assert files[0].read_bytes() == files[1].read_bytes()
    documents = [*DOCUMENTS, "unseen words"]
    np.testing.assert_array_equal(stored.transform(documents).toarray(), fitted.transform(documents).toarray())


def test_stored_form_is_used_without_gensim(fitted, tmp_path):
    save_estimator(fitted, tmp_path / "vectors.skops", [])
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.modules['gensim'] = None  # importing it fails\n"
        "from tasks.models.pipeline import load_estimator\n"
        "X = load_estimator(Path(sys.argv[1]), []).transform(sys.argv[2:])\n"
        "print(X.toarray().tobytes().hex())\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "vectors.skops"), *DOCUMENTS]
    printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    assert bytes.fromhex(printed) == fitted.transform(DOCUMENTS).toarray().tobytes()
