import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from tasks.models.vectorizers import BagOfWords, CharacterNgrams

DOCUMENTS = ["the ghost returns to the old house", "a sheriff and the outlaw", "the house of the sheriff", "", "?!"]
Y = np.array([[True, False], [False, True], [True, True], [False, True], [True, False]])


def fitted(representation):
    return representation.fit(DOCUMENTS, Y)


@pytest.mark.parametrize("max_n", [1, 2])
@pytest.mark.parametrize("sublinear", [False, True])
def test_tfidf_equals_scikit_learn(max_n, sublinear):
    ours = fitted(BagOfWords(max_n=max_n, min_movies=1, sublinear=sublinear))
    theirs = TfidfVectorizer(ngram_range=(1, max_n), sublinear_tf=sublinear)
    expected = theirs.fit_transform(DOCUMENTS).toarray()
    np.testing.assert_allclose(ours.transform(DOCUMENTS).toarray(), expected, atol=1e-6)


def test_counts_equal_scikit_learn():
    ours = fitted(BagOfWords(weighting="counts", min_movies=2))
    theirs = CountVectorizer(min_df=2)
    np.testing.assert_array_equal(ours.transform(DOCUMENTS).toarray(), theirs.fit_transform(DOCUMENTS).toarray())


def test_vectors_of_one_row_do_not_depend_on_the_others():
    vectors = fitted(BagOfWords(min_movies=1))
    alone, together = vectors.transform(DOCUMENTS[:1]).toarray(), vectors.transform(DOCUMENTS).toarray()
    np.testing.assert_array_equal(alone, together[:1])


def test_character_ngrams_equal_scikit_learn():
    ours = fitted(CharacterNgrams(min_n=2, max_n=4, min_movies=1, sublinear=True))
    theirs = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    expected = theirs.fit_transform(DOCUMENTS).toarray()
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    np.testing.assert_allclose(ours.transform(DOCUMENTS).toarray(), expected, atol=1e-6)


def test_words_that_every_genre_has_are_dropped_where_asked_for():
    assert "the" in fitted(BagOfWords(min_movies=1)).vocabulary_
    kept = fitted(BagOfWords(min_movies=1, common_share=0.3)).vocabulary_
    assert "the" not in kept  # in two of three movies of either genre
    assert {"ghost", "outlaw"} <= set(kept)
