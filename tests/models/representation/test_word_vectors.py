"""Trained word vectors: equal to gensim's own, the same in every process."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from gensim.models.fasttext import ft_ngram_hashes
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ModelError
from tasks.models.representation import word_vectors
from tasks.models.representation.mean_vectors import MeanVectors
from tasks.models.representation.subwords import ngram_buckets
from tasks.models.representations import WordVectors

WORDS = ["ghosts", "haunt", "the", "old", "house", "sheriff", "rides", "into", "town", "élan"]
DOCUMENTS = [" ".join(np.random.default_rng(row).choice(WORDS, 8)) for row in range(60)]
Y = np.ones((60, 1), dtype=bool)
WORD2VEC = WordVectors(dimensions=12, epochs=2)
FASTTEXT = WordVectors(algorithm="fasttext", dimensions=12, epochs=2, buckets=200)


def gensim_vectors(spec):
    return word_vectors._train(word_vectors._corpus(sorted(DOCUMENTS), spec.min_movies, seed=1), spec, seed=1)


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("spec", [WORD2VEC, FASTTEXT], ids=lambda spec: spec.algorithm)
def test_a_document_is_the_weighted_mean_of_gensims_vectors(spec):
    vectors, theirs = MeanVectors(spec).fit(DOCUMENTS, Y, seed=1), gensim_vectors(spec)
    idf = dict(zip(vectors.words, vectors.idf, strict=True))
    assert sorted(theirs.index_to_key) == vectors.words
    expected = unit(2 * idf["ghosts"] * theirs["ghosts"] + idf["élan"] * theirs["élan"])
    np.testing.assert_allclose(vectors._unit_means(["ghosts élan ghosts"])[0], expected, atol=1e-6)


@pytest.mark.parametrize("word", ["ghostly", "xx", "unheimlichkeit", "日本", "ça-va"])
def test_fasttext_gives_an_unseen_word_gensims_vector(word):
    vectors, theirs = MeanVectors(FASTTEXT).fit(DOCUMENTS, Y, seed=1), gensim_vectors(FASTTEXT)
    (token,) = word_vectors.TOKEN.findall(word)[:1]
    np.testing.assert_allclose(vectors._unit_means([token])[0], unit(theirs[token]), atol=1e-5)


def test_an_unseen_word_counts_less_than_any_known_one():
    vectors, theirs = MeanVectors(FASTTEXT).fit(DOCUMENTS, Y, seed=1), gensim_vectors(FASTTEXT)
    expected = unit(vectors.idf[vectors.words.index("ghosts")] * theirs["ghosts"] + 1.0 * theirs["ghostly"])
    np.testing.assert_allclose(vectors._unit_means(["ghosts ghostly"])[0], expected, atol=1e-5)
    assert vectors.idf.min() >= 1


@given(st.text(), st.integers(1, 2**31 - 1))
def test_ngram_buckets_equal_gensims(word, buckets):
    assert ngram_buckets(word, buckets) == ft_ngram_hashes(word, 3, 6, buckets)


@pytest.mark.parametrize("spec", [WORD2VEC, FASTTEXT], ids=lambda spec: spec.algorithm)
def test_order_of_documents_does_not_matter_and_the_seed_does(spec):
    vectors = MeanVectors(spec).fit(DOCUMENTS, Y, seed=1)
    turned = MeanVectors(spec).fit(DOCUMENTS[::-1], Y, seed=1)
    np.testing.assert_array_equal(turned.transform(WORDS).toarray(), vectors.transform(WORDS).toarray())
    assert not np.array_equal(MeanVectors(spec).fit(DOCUMENTS, Y, seed=2).vectors, vectors.vectors)


def test_every_process_trains_the_same_bytes():
    # Python's own hash of a string differs between these processes
    program = (
        "import hashlib, sys\n"
        "from tasks.models.representation.word_vectors import train_vectors\n"
        "from tasks.models.representations import WordVectors\n"
        "for text in sys.argv[2:]:\n"
        "    spec = WordVectors.model_validate_json(text)\n"
        "    vectors = train_vectors(sys.argv[1].splitlines(), spec, seed=1)[1]\n"
        "    print(hashlib.sha256(vectors.tobytes()).hexdigest())\n"
    )
    specs = (WORD2VEC, FASTTEXT)
    arguments = [sys.executable, "-c", program, "\n".join(DOCUMENTS), *(spec.model_dump_json() for spec in specs)]
    printed = {
        subprocess.run(
            arguments, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        ).stdout
        for hash_seed in ("1", "2")
    }
    here = (word_vectors.train_vectors(DOCUMENTS, spec, seed=1)[1].tobytes() for spec in specs)
    assert printed == {"".join(f"{hashlib.sha256(vectors).hexdigest()}\n" for vectors in here)}


def test_no_frequent_word_is_refused():
    with pytest.raises(ModelError, match="lower min_movies"):
        word_vectors.train_vectors(["one two", "three"], WORD2VEC, seed=1)
