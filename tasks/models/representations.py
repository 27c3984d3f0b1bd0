"""Documents as sparse vectors. Owns vocabularies and weights and how they are stored; knows no label."""

import json
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
from scipy import sparse

from tasks.errors import ModelError
from tasks.models.spec import BagOfWords

TOKEN: Final = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default


class BagOfWordsVectors:
    """Word n-gram counts or tf-idf weights over a vocabulary that was learnt from the train documents.

    Tokens are runs of two or more word characters, lower-cased. tf-idf is `count * (log((1 + n) / (1 + df)) + 1)`,
    the count replaced by `1 + log(count)` if sublinear, each row scaled to unit Euclidean length; rows without a known
    word stay zero.

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 6.4; the smoothed form
    is scikit-learn's.
    """

    def __init__(self, spec: BagOfWords) -> None:
        self.spec = spec
        self.terms: list[str] = []
        self.idf = np.empty(0, dtype=np.float32)

    def fit(self, documents: Sequence[str]) -> Self:
        """Learn the vocabulary and the document frequencies.

        Raises:
            ModelError: no n-gram occurs in `min_movies` documents.
        """
        # scikit-learn takes seconds to import, and only fitting needs it
        from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415

        counter = CountVectorizer(
            ngram_range=(1, self.spec.max_n), min_df=self.spec.min_movies, token_pattern=TOKEN.pattern, dtype=np.float32
        )
        try:
            counts = counter.fit_transform(documents)
        except ValueError as error:  # no token at all, fewer documents than min_df, or nothing left after pruning
            raise ModelError(
                f"no word occurs in {self.spec.min_movies} of {len(documents)} train documents; lower min_movies"
            ) from error
        self.terms = counter.get_feature_names_out().tolist()
        frequencies = np.diff(counts.tocsc().indptr)
        self.idf = (np.log((1 + len(documents)) / (1 + frequencies)) + 1).astype(np.float32)
        return self

    def transform(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return a (documents × terms) float32 matrix with sorted indices."""
        X = self._count(documents)
        if self.spec.sublinear:
            X.data = 1 + np.log(X.data)
        if self.spec.weighting == "tfidf":
            X.data *= self.idf[X.indices]
            lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
            lengths[lengths == 0] = 1
            X.data /= np.repeat(lengths, np.diff(X.indptr)).astype(np.float32)
        return X

    def _count(self, documents: Sequence[str]) -> sparse.csr_array:
        column_of = {term: column for column, term in enumerate(self.terms)}
        columns, ends = array("i"), array("i", [0])  # 32 bits: scikit-learn's solvers take no others
        for document in documents:
            known = (column_of.get(term) for term in _terms(document, self.spec.max_n))
            columns.extend(column for column in known if column is not None)
            ends.append(len(columns))
        shape = (len(documents), len(self.terms))
        ones = np.ones(len(columns), dtype=np.float32)
        X = sparse.csr_array((ones, np.asarray(columns), np.asarray(ends)), shape=shape)
        X.sum_duplicates()
        return X

    def save(self, folder: Path) -> None:
        """Write `terms.json`, `idf.npy` and `representation.json` into a folder that exists."""
        (folder / "representation.json").write_text(self.spec.model_dump_json() + "\n", encoding="utf-8")
        (folder / "terms.json").write_text(json.dumps(self.terms, ensure_ascii=False) + "\n", encoding="utf-8")
        np.save(folder / "idf.npy", self.idf, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        loaded = cls(BagOfWords.model_validate_json((folder / "representation.json").read_text(encoding="utf-8")))
        loaded.terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        loaded.idf = np.load(folder / "idf.npy", allow_pickle=False)
        return loaded


def _terms(document: str, max_n: int) -> Iterator[str]:
    tokens = TOKEN.findall(document.lower())
    yield from tokens
    for n in range(2, max_n + 1):
        yield from (" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


REPRESENTATION_FILES = ("representation.json", "terms.json", "idf.npy")
