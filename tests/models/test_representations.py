import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from tasks.models.representations import BagOfWordsVectors
from tasks.models.spec import BagOfWords

DOCUMENTS = ["The ghost returns to the old house", "A sheriff and the outlaw", "the house of the sheriff", "", "?!"]


@pytest.mark.parametrize("max_n", [1, 2])
@pytest.mark.parametrize("sublinear", [False, True])
def test_tfidf_equals_scikit_learn(max_n, sublinear):
    ours = BagOfWordsVectors(BagOfWords(max_n=max_n, min_movies=1, sublinear=sublinear)).fit(DOCUMENTS)
    theirs = TfidfVectorizer(ngram_range=(1, max_n), sublinear_tf=sublinear)
    expected = theirs.fit_transform(DOCUMENTS).toarray()
    np.testing.assert_allclose(ours.transform(DOCUMENTS).toarray(), expected, atol=1e-6)


def test_counts_equal_scikit_learn():
    ours = BagOfWordsVectors(BagOfWords(weighting="counts", min_movies=2)).fit(DOCUMENTS)
    theirs = CountVectorizer(min_df=2)
    np.testing.assert_array_equal(ours.transform(DOCUMENTS).toarray(), theirs.fit_transform(DOCUMENTS).toarray())


def test_vectors_of_one_row_do_not_depend_on_the_others():
    vectors = BagOfWordsVectors(BagOfWords(min_movies=1)).fit(DOCUMENTS)
    alone, together = vectors.transform(DOCUMENTS[:1]).toarray(), vectors.transform(DOCUMENTS).toarray()
    np.testing.assert_array_equal(alone, together[:1])
