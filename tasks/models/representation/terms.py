"""Documents as sparse counts or weights of the terms in them. Owns vocabularies, weights and how they are stored.

Terms are word n-grams, character n-grams or side fields; all three count and weigh them in the same way.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import sparse

from tasks.errors import ModelError
from tasks.models.representation.counting import count_terms, count_words
from tasks.models.representations import BagOfWords, CharacterNgrams, SideFields

TermSpec = BagOfWords | CharacterNgrams | SideFields

TOKEN: Final = re.compile(r"(?u)\b\w\w+\b")  # scikit-learn's default
DOCUMENTS_AT_ONCE: Final = 2000  # bounds the memory of counting rare n-grams, most of which are dropped
FILES: Final = ("representation.json", "terms.json", "idf.npy")
_SPEC: Final[TypeAdapter[TermSpec]] = TypeAdapter(TermSpec)


class TermVectors:
    """Counts or weights over a vocabulary that was learnt from the train documents.

    - Word n-grams: tokens are runs of two or more word characters.
    - Character n-grams: of each run of characters without white space, one space added at both its ends.
    - Side fields: lines of the document, as `tasks.models.inputs.read_fields` writes them; each counts once.

    tf-idf is `count * (log((1 + n) / (1 + df)) + 1)`, the count replaced by `1 + log(count)` if sublinear, each row
    scaled to unit Euclidean length (times the representation's weight); rows without a known term stay zero.

    Source: Manning, Raghavan and Schütze 2008, Introduction to Information Retrieval, section 6.4; the smoothed form
    is scikit-learn's.
    """

    def __init__(self, spec: TermSpec) -> None:
        self.spec = spec
        self.terms: list[str] = []
        self.idf = np.empty(0, dtype=np.float32)

    @property
    def feature_names(self) -> Sequence[str]:
        """The terms, sorted."""
        return self.terms

    def fit(self, documents: Sequence[str], Y: NDArray[np.bool_], seed: int) -> Self:
        """Learn the vocabulary and the document frequencies.

        Raises:
            ModelError: no term occurs in `min_movies` documents.
        """
        del seed  # nothing is drawn
        frequencies = document_frequencies(documents, self.spec)
        self.terms = sorted(term for term, count in frequencies.items() if count >= self.spec.min_movies)
        if isinstance(self.spec, BagOfWords) and self.spec.common_share is not None:
            self._drop_common(documents, Y, self.spec.common_share)
        if not self.terms:
            raise ModelError(
                f"no word occurs in {self.spec.min_movies} of {len(documents)} train documents; lower min_movies"
                if not isinstance(self.spec, SideFields)
                else f"no side field has a value that {self.spec.min_movies} of {len(documents)} train movies share; "
                "the listings have none of these columns filled: choose models on the text"
            )
        counted = np.array([frequencies[term] for term in self.terms])
        self.idf = (np.log((1 + len(documents)) / (1 + counted)) + 1).astype(np.float32)
        return self

    def transform(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return a (documents × terms) float32 matrix with sorted indices."""
        X = self._count(documents)
        if isinstance(self.spec, SideFields):
            X.data[:] = self.spec.weight
            return X
        if self.spec.sublinear:
            X.data = 1 + np.log(X.data)
        if isinstance(self.spec, CharacterNgrams) or self.spec.weighting == "tfidf":
            X.data *= self.idf[X.indices]
            lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
            lengths[lengths == 0] = 1
            X.data /= np.repeat(lengths, np.diff(X.indptr)).astype(np.float32)
        if isinstance(self.spec, CharacterNgrams):
            X.data *= np.float32(self.spec.weight)
        return X

    def _count(self, documents: Sequence[str]) -> sparse.csr_array:
        column_of = {term: column for column, term in enumerate(self.terms)}
        if not isinstance(self.spec, CharacterNgrams):
            return count_terms((terms_of(document, self.spec) for document in documents), column_of)
        words, in_documents = count_words(documents)
        X = in_documents @ count_terms((terms_of(word, self.spec) for word in words), column_of)
        X.sort_indices()
        return X

    def _drop_common(self, documents: Sequence[str], Y: NDArray[np.bool_], share: float) -> None:
        """Drop the terms that at least this share of the movies of every genre has; they tell no genre from another."""
        present = self._count(documents)
        present.data[:] = 1
        genres = Y[:, Y.any(axis=0)].astype(np.float32)
        shares = (present.T @ genres) / genres.sum(axis=0)
        common = shares.min(axis=1) >= share
        self.terms = [term for term, is_common in zip(self.terms, common, strict=True) if not is_common]

    def save(self, folder: Path) -> None:
        """Write the files named in `FILES` into a folder that exists."""
        (folder / "representation.json").write_text(self.spec.model_dump_json() + "\n", encoding="utf-8")
        (folder / "terms.json").write_text(json.dumps(self.terms, ensure_ascii=False) + "\n", encoding="utf-8")
        np.save(folder / "idf.npy", self.idf, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        loaded = cls(_SPEC.validate_json((folder / "representation.json").read_text(encoding="utf-8")))
        loaded.terms = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        loaded.idf = np.load(folder / "idf.npy", allow_pickle=False)
        return loaded


def document_frequencies(documents: Sequence[str], spec: TermSpec) -> Counter[str]:
    """Return in how many of the documents each term occurs."""
    frequencies: Counter[str] = Counter()
    if not isinstance(spec, CharacterNgrams):
        for document in documents:
            frequencies.update(set(terms_of(document, spec)))
        return frequencies
    words, in_documents = count_words(documents)
    column_of: dict[str, int] = {}
    in_words = count_terms((terms_of(word, spec) for word in words), column_of, learn=True)
    counted = np.zeros(len(column_of), dtype=np.int64)
    for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
        piece = in_documents[start : start + DOCUMENTS_AT_ONCE] @ in_words
        counted += np.bincount(piece.indices, minlength=len(column_of))
    frequencies.update(dict(zip(column_of, counted.tolist(), strict=True)))
    return frequencies


def terms_of(document: str, spec: TermSpec) -> Iterator[str]:
    """Yield the terms of a document, each as often as it occurs."""
    match spec:
        case BagOfWords():
            return _word_ngrams(document, spec.max_n)
        case CharacterNgrams():
            return _character_ngrams(document, spec.min_n, spec.max_n)
        case SideFields():
            return iter(lines_of(document))


def lines_of(fields: str) -> list[str]:
    r"""Return the side fields of a movie. Only "\n" parts them: `str.splitlines` would also part values at "\x1c"."""
    return fields.split("\n") if fields else []


def _word_ngrams(document: str, max_n: int) -> Iterator[str]:
    tokens = TOKEN.findall(document)
    yield from tokens
    for n in range(2, max_n + 1):
        yield from (" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def _character_ngrams(document: str, min_n: int, max_n: int) -> Iterator[str]:
    for word in document.split():
        padded = f" {word} "
        for n in range(min_n, max_n + 1):
            yield from (padded[start : start + n] for start in range(len(padded) - n + 1))
