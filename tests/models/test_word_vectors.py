"""Trained word vectors: equal to gensim's own, the same in every process."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from gensim.models.fasttext import ft_ngram_hashes
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from tasks.core.errors import ModelError
from tasks.models import word_vectors
from tasks.models.word_vectors import WordVectors, ngram_buckets

WORDS = ["ghosts", "haunt", "the", "old", "house", "sheriff", "rides", "into", "town", "élan"]
DOCUMENTS = [" ".join(np.random.default_rng(row).choice(WORDS, 8)) for row in range(60)]
WORD2VEC = WordVectors(dimensions=12, epochs=2, random_state=1)
FASTTEXT = WordVectors(algorithm="fasttext", dimensions=12, epochs=2, buckets=200, random_state=1)


def gensim_vectors(spec):
    return word_vectors.train_vectors(sorted(DOCUMENTS), spec)


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("spec", [WORD2VEC, FASTTEXT], ids=lambda spec: spec.algorithm)
def test_a_document_is_the_weighted_mean_of_gensims_vectors(spec):
    vectors, theirs = spec.fit(DOCUMENTS), gensim_vectors(spec)
    idf = dict(zip(vectors.vocabulary_, vectors.idf_, strict=True))
    assert sorted(theirs.index_to_key) == vectors.vocabulary_
    expected = unit(2 * idf["ghosts"] * theirs["ghosts"] + idf["élan"] * theirs["élan"])
    np.testing.assert_allclose(vectors._unit_means(["ghosts élan ghosts"])[0], expected, atol=1e-6)


@pytest.mark.parametrize("word", ["ghostly", "xx", "unheimlichkeit", "日本", "ça-va"])
def test_fasttext_gives_an_unseen_word_gensims_vector(word):
    vectors, theirs = FASTTEXT.fit(DOCUMENTS), gensim_vectors(FASTTEXT)
    (token,) = word_vectors.TOKEN.findall(word)[:1]
    np.testing.assert_allclose(vectors._unit_means([token])[0], unit(theirs[token]), atol=1e-5)


def test_an_unseen_word_counts_less_than_any_known_one():
    vectors, theirs = FASTTEXT.fit(DOCUMENTS), gensim_vectors(FASTTEXT)
    expected = unit(vectors.idf_[vectors.vocabulary_.index("ghosts")] * theirs["ghosts"] + 1.0 * theirs["ghostly"])
    np.testing.assert_allclose(vectors._unit_means(["ghosts ghostly"])[0], expected, atol=1e-5)
    assert vectors.idf_.min() >= 1


@given(st.text(), st.integers(1, 2**31 - 1))
def test_ngram_buckets_equal_gensims(word, buckets):
    assert ngram_buckets(word, buckets) == ft_ngram_hashes(word, 3, 6, buckets)


@pytest.mark.parametrize("spec", [WORD2VEC, FASTTEXT], ids=lambda spec: spec.algorithm)
def test_order_of_documents_does_not_matter_and_the_seed_does(spec):
    vectors = spec.fit(DOCUMENTS)
    turned = spec.fit(DOCUMENTS[::-1])
    np.testing.assert_array_equal(turned.transform(WORDS).toarray(), vectors.transform(WORDS).toarray())
    assert not np.array_equal(clone(spec).set_params(random_state=2).fit(DOCUMENTS).vectors_, vectors.vectors_)


def test_every_process_trains_the_same_bytes():
    # Python's own hash of a string differs between these processes
    program = (
        "import hashlib, json, sys\n"
        "from tasks.models.word_vectors import WordVectors\n"
        "for text in sys.argv[2:]:\n"
        "    vectors = WordVectors(**json.loads(text)).fit(sys.argv[1].splitlines()).vectors_\n"
        "    print(hashlib.sha256(vectors.tobytes()).hexdigest())\n"
    )
    specs = (WORD2VEC, FASTTEXT)
    arguments = [
        sys.executable,
        "-c",
        program,
        "\n".join(DOCUMENTS),
        *(json.dumps(spec.get_params()) for spec in specs),
    ]
    printed = {
        subprocess.run(
            arguments, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        ).stdout
        for hash_seed in ("1", "2")
    }
    here = (clone(spec).fit(DOCUMENTS).vectors_.tobytes() for spec in specs)
    assert printed == {"".join(f"{hashlib.sha256(vectors).hexdigest()}\n" for vectors in here)}


def test_no_frequent_word_is_refused():
    with pytest.raises(ModelError, match="lower min_movies"):
        word_vectors.train_vectors(["one two", "three"], WORD2VEC)
