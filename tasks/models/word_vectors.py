"""Documents as weighted means of word vectors, trained with gensim or read from a file.

Files are read by our own parser because gensim's `load_word2vec_format` holds a whole file: for 20,000 words of 200,000
in 300 dimensions ours takes 55 MB and 1.1 CPU seconds (binary) or 5.9 s (GloVe), gensim 287 MB and 3.2 or 104 s.
"""

import gzip
import logging
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Container, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from tasks.core.errors import DataError, ModelError
from tasks.core.logs import Progress
from tasks.core.schema import DEFAULT_SEED
from tasks.models.vectorizers import TOKEN, Vectorizer, inverse_frequencies, read_texts

logger = logging.getLogger(__name__)

LONGEST_LINE: Final = 1 << 20  # bytes; 300 dimensions take about 3,000
LONGEST_WORD: Final = 1 << 12  # bytes
BLOCK: Final = 1 << 20  # bytes read at once
LARGEST: Final = 1e6  # trained vectors stay far below; damaged bytes rarely do
MOST_DIMENSIONS: Final = 10_000

_HEADER: Final = re.compile(rb"(\d{1,12}) (\d{1,6})\s*")
_CONTROL: Final = re.compile(rb"[^\t\n\r\x20-\x7e\x80-\xff]")
_Rows = Iterator[tuple[bytes, NDArray[np.float32] | None]]  # None: not a wanted word

LEAST_IDF: Final = 1.0  # that of a word in every document
SMALLEST_DEVIATION: Final = 1e-6  # of a column of unit vectors; below it is only rounding
SHORTEST_SUBWORD: Final = 3  # characters, including the marks of a word's beginning and end; fastText's range
LONGEST_SUBWORD: Final = 6
FNV_OFFSET: Final = 2166136261
FNV_PRIME: Final = 16777619


def read_vectors_of(words: Set[str], file: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Return those of some words that a file has, as written or in lower case, sorted, and their vectors, one per row.

    Only these are kept in memory and stored with a model. If a word occurs twice in the file, the first one counts.
    Errors as `read_vectors`, and a DataError if the file has none of the words.
    """
    wanted = {form.encode(): form for word in words for form in (word, word.lower())}
    found: dict[str, NDArray[np.float32]] = {}
    repeated = 0
    for name, vector in read_vectors(file, wanted.keys()):
        repeated += wanted[name] in found
        found.setdefault(wanted[name], vector)
    if not found:
        raise DataError(
            f"{file} has none of the {len(words):,} words of the train documents; check that it is of their language. "
            "If its words are capitalised, choose an input with lowercase: false"
        )
    known = sum(word in found or word.lower() in found for word in words)
    share = f"{known:,} of {len(words):,} words of the train documents ({known / len(words):.0%})"
    logger.info("%s: vectors of %s; the other words are ignored", file, share)
    if repeated:
        logger.warning("%s: %s repeated words ignored", file, f"{repeated:,}")
    kept = sorted(found)
    return kept, np.stack([found[word] for word in kept])


def read_vectors(file: Path, wanted: Container[bytes]) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
    """Yield the wanted words, in UTF-8, and their vectors, in the order of the file.

    Formats, plain or gzip, are recognised by content. For other words only the number of columns is checked.

    - word2vec: a first line with the number of words and of dimensions. A row is a word, a space and its numbers:
      decimal, separated by spaces, with a line feed at the end, or 32-bit little-endian floats, with or without one.
    - GloVe: like word2vec's text without the first line.

    A DataError if the file is missing, damaged or of an unknown format; it names the place, and what was expected.

    Source: `SaveModel` in word2vec.c of Mikolov et al. 2013; Pennington et al. 2014, GloVe, `save_params` in glove.c.
    """
    try:
        with file.open("rb") as raw:
            is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
            n_rows, dimensions, is_binary = _detect(stream, file)
            progress = Progress(f"reading {file.name}", n_rows)
            read = _read_binary if is_binary else _read_text
            for word, vector in read(stream, n_rows, dimensions, file, wanted):
                progress.advance()
                if vector is not None:
                    yield word, vector
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}); check the path, or fetch the file again") from error
    if n_rows not in (None, progress.done):
        raise DataError(
            f"{file} states {n_rows:,} words in line 1 but has {progress.done:,}; it is incomplete or damaged: fetch "
            "it again"
        )
    progress.finish()


def _detect(stream: BinaryIO, file: Path) -> tuple[int | None, int, bool]:
    """Return the number of words, if there is a header, and of dimensions, and whether the file is binary."""
    first = stream.readline(LONGEST_LINE)
    if header := _HEADER.fullmatch(first):
        rows, dimensions = int(header[1]), int(header[2])
        if rows and 0 < dimensions <= MOST_DIMENSIONS:
            beginning = stream.read(LONGEST_WORD + 4 * dimensions)
            numbers = beginning[beginning.find(b" ") + 1 :][: 4 * dimensions]
            stream.seek(len(first))
            return rows, dimensions, _CONTROL.search(numbers) is not None or not _is_utf8(numbers)
    _, *numbers_of_first = first.rstrip().split(b" ")
    if len(numbers_of_first) < 2 or not all(map(_is_number, numbers_of_first)):
        raise DataError(
            f"{file} is not a file of word vectors: line 1 should have a number of words and a number of dimensions "
            f"(word2vec), or a word and its numbers (GloVe), separated by single spaces; it begins {first[:60]!r}"
        )
    stream.seek(0)
    return None, len(numbers_of_first), False


def _read_text(stream: BinaryIO, n_rows: int | None, dimensions: int, file: Path, wanted: Container[bytes]) -> _Rows:
    for number in count(1 if n_rows is None else 2):  # after the header
        line = stream.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) == LONGEST_LINE:
            raise DataError(f"{file}, line {number}: longer than {LONGEST_LINE:,} bytes; not a file of word vectors")
        line = line.rstrip()
        if not line:
            continue
        word, _, rest = line.partition(b" ")
        surplus = line.count(b" ") - dimensions
        # Some words of GloVe's files have spaces inside; tokens have none, so these are not wanted.
        if surplus < 0 or (surplus > 0 and _is_number(rest.split(b" ")[surplus - 1])):
            raise DataError(
                f"{file}, line {number}: {surplus + dimensions} numbers after the word, expected {dimensions}; "
                "the file is damaged: fetch it again"
            )
        if surplus > 0 or word not in wanted:
            yield word, None
            continue
        try:
            vector = np.array([float(value) for value in rest.split(b" ")])
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}; expected {dimensions} numbers") from error
        yield word, _checked(vector, f"{file}, line {number}")


def _read_binary(stream: BinaryIO, n_rows: int | None, dimensions: int, file: Path, wanted: Container[bytes]) -> _Rows:
    assert n_rows is not None
    buffer, start, size = b"", 0, 4 * dimensions
    for row in range(1, n_rows + 1):
        while True:
            space = buffer.find(b" ", start, start + LONGEST_WORD)
            end = space + 1 + size
            if space >= 0 and end <= len(buffer):
                break
            block = stream.read(BLOCK)
            if not block or (space < 0 and len(buffer) - start >= LONGEST_WORD):
                raise DataError(
                    f"{file}, word {row:,} of {n_rows:,}: expected a word, a space and {size} bytes; the file is "
                    "truncated or damaged: fetch it again"
                )
            buffer, start = buffer[start:] + block, 0
        word = buffer[start:space].lstrip(b"\n")
        vector = np.frombuffer(buffer, "<f4", dimensions, space + 1) if word in wanted else None
        yield word, None if vector is None else _checked(vector, f"{file}, word {row:,}")
        start = end
    if (buffer[start:] + stream.read(BLOCK)).strip():
        raise DataError(f"{file} continues after the {n_rows:,} words stated in line 1; fetch it again")


def _checked(vector: NDArray[np.floating], where: str) -> NDArray[np.float32]:
    if not (np.abs(vector) <= LARGEST).all():  # false for NaN too
        raise DataError(f"{where}: expected numbers between -{LARGEST:,.0f} and {LARGEST:,.0f}, found NaN or others")
    return vector.astype(np.float32)


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.end == len(text)  # cut inside a character
    return True


class MeanVectorizer(Vectorizer):
    """Base class: means of word vectors, each word weighted by its idf; subclasses provide the vectors.

    A mean is scaled to unit length and its columns are standardised to mean 0 and equal variance in train, so that the
    average length of a train movie's vector is `weight`. This removes what all words have in common.

    A token is looked up as written, then in lower case. If neither is known, fastText takes the mean of the token's
    n-gram vectors, with the lowest possible idf, since it is a guess; word2vec and pretrained vectors ignore the token.
    A document without a known word is a row of zeros, like the average train document.

    """

    weight: float
    vectors_: NDArray[np.float32]  # (words + buckets × dimensions); only fastText has buckets of n-grams
    columns_: NDArray[np.float32]  # (2 × dimensions): each column's mean in train, and the factor after subtracting it

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn vectors and weights, in any order of documents; errors as `train_vectors` and `read_vectors_of`."""
        del y
        documents = sorted(read_texts(X))
        words, self.vectors_ = self._word_vectors(documents)
        self._learn(words)
        frequencies = Counter[str]()
        for document in documents:
            frequencies.update(
                {token if token in self._column_of else token.lower() for token in TOKEN.findall(document)}
            )
        self.idf_ = inverse_frequencies(words, frequencies, len(documents))
        means = self._unit_means(documents)
        means = means[means.any(axis=1)].astype(np.float64)
        deviations = means.std(axis=0)
        deviations[deviations < SMALLEST_DEVIATION] = np.inf
        self.columns_ = np.array([means.mean(axis=0), 1 / deviations / np.sqrt(means.shape[1])], dtype=np.float32)
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Return a (documents × dimensions) float32 matrix; rows are full or empty."""
        check_is_fitted(self)
        means = self._unit_means(read_texts(X))
        filled = means.any(axis=1)
        centre, factor = self.columns_
        values = (means[filled] - centre) * (factor * np.float32(self.weight))
        columns = np.tile(np.arange(means.shape[1], dtype=np.int32), len(values))
        ends = np.concatenate([[0], np.cumsum(filled) * means.shape[1]]).astype(np.int32)
        return sparse.csr_array((values.ravel(), columns, ends), shape=means.shape)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the numbers of the dimensions, which have no meaning."""
        del input_features
        check_is_fitted(self)
        return np.array([f"{self.label}:{dimension}" for dimension in range(self.vectors_.shape[1])], dtype=object)

    def _word_vectors(self, documents: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
        """Return the known words, sorted, and their vectors, one per row, followed by any buckets of n-grams."""
        raise NotImplementedError

    def _unit_means(self, documents: Sequence[str]) -> NDArray[np.float32]:
        means: NDArray[np.float32] = self.weigh(documents) @ self.vectors_
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        means /= np.where(lengths == 0, np.float32(1), lengths)
        return means

    def weigh(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return the weight of each row of `vectors_` in each document.

        Columns stay in the order of the tokens, so that sums are bit-identical with any other documents.
        """
        idf, column_of = self.idf_.tolist(), self._column_of
        n_words, n_buckets = len(self.vocabulary_), len(self.vectors_) - len(self.vocabulary_)
        columns, weights, ends = array("i"), array("f"), array("i", [0])
        for document in documents:
            for token in TOKEN.findall(document):
                column = column_of.get(token, column_of.get(token.lower()))
                if column is not None:
                    columns.append(column)
                    weights.append(idf[column])
                elif n_buckets and (buckets := ngram_buckets(token, n_buckets)):
                    columns.extend(n_words + bucket for bucket in buckets)
                    weights.extend([LEAST_IDF / len(buckets)] * len(buckets))
            ends.append(len(columns))
        shape = (len(documents), len(self.vectors_))
        return sparse.csr_array((np.asarray(weights), np.asarray(columns), np.asarray(ends)), shape=shape)


@dataclass(eq=False, repr=False)
class WordVectors(MeanVectorizer):
    """Mean of word vectors trained on the train documents with gensim, weighted by idf, standardised."""

    algorithm: Literal["word2vec", "fasttext"] = "word2vec"  # fastText also reads parts of words
    # Predict the surrounding words from each word, or each word from those around it.
    objective: Literal["skip-gram", "cbow"] = "skip-gram"
    dimensions: PositiveInt = 100
    window: PositiveInt = 20  # words on each side that count as context
    negatives: PositiveInt = 5  # random words that each real one is compared with
    subsample: PositiveFloat = 1e-4  # share of all words above which a word is read less often
    epochs: PositiveInt = 10
    learning_rate: PositiveFloat = 0.05  # initial; it falls linearly to almost 0
    min_movies: PositiveInt = 3  # train movies that a word must occur in to be kept
    buckets: PositiveInt = 20_000  # vectors that the parts of words share (fastText)
    weight: PositiveFloat = 1.0  # average length of a movie's vector
    random_state: int = DEFAULT_SEED

    @property
    @override
    def label(self) -> str:
        return f"{self.algorithm}_{self.dimensions}d"

    def _word_vectors(self, documents: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
        trained = train_vectors(documents, self)
        words = sorted(trained.index_to_key)
        vectors = trained.vectors[[trained.key_to_index[word] for word in words]]
        if self.algorithm == "fasttext":  # in which a word's vector is the mean of its own and those of its n-grams
            vectors = np.concatenate([vectors, trained.vectors_ngrams])
        return words, vectors


@dataclass(eq=False, repr=False)
class PretrainedVectors(MeanVectorizer):
    """Mean of word vectors from a file, weighted by idf, standardised."""

    file: Path = Path("vectors.txt")  # word2vec text or binary, or GloVe text, also gzipped; detected by content
    weight: PositiveFloat = 1.0  # average length of a movie's vector

    @property
    @override
    def label(self) -> str:
        return f"pretrained_{Path(self.file).name.split('.')[0]}"

    def _word_vectors(self, documents: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
        words = {token for document in documents for token in TOKEN.findall(document)}
        return read_vectors_of(words, Path(self.file))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "file": str(self.file)}


def ngram_buckets(word: str, buckets: int) -> list[int]:
    """Return the bucket of each character n-gram of `<word>`, from left to right, the shorter first.

    The hash is FNV-1a with 32 bits over UTF-8 in which bytes from 128 on count as negative, as in fastText.

    Source: Bojanowski et al. 2017, Enriching Word Vectors with Subword Information, section 3.2; `Dictionary::hash` and
    `Dictionary::computeSubwords` of fastText.
    """
    encoded = [character.encode() for character in f"<{word}>"]
    characters = [[byte if byte < 128 else byte | 0xFFFFFF00 for byte in each] for each in encoded]
    found = []
    for start in range(len(characters)):
        state = FNV_OFFSET
        for length, character in enumerate(characters[start : start + LONGEST_SUBWORD], start=1):
            for byte in character:
                state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFF
            if length >= SHORTEST_SUBWORD:
                found.append(state % buckets)
    return found


def train_vectors(documents: Sequence[str], spec: WordVectors) -> Any:
    """Return gensim's vectors, trained in one thread, so that the same documents give the same bits.

    The documents are shuffled, since their order may carry meaning. A ModelError if no word is frequent enough.

    Source: Mikolov et al. 2013, Distributed Representations of Words and Phrases and their Compositionality;
    Bojanowski et al. 2017, Enriching Word Vectors with Subword Information.
    """
    from gensim.models import FastText, Word2Vec  # noqa: PLC0415 - takes seconds to import

    frequencies = Counter(chain.from_iterable(set(TOKEN.findall(document)) for document in documents))
    # One string object per word, not per occurrence: a tenth of the memory.
    frequent = {word: word for word, count in frequencies.items() if count >= spec.min_movies}
    if not frequent:
        raise ModelError(f"no word occurs in {spec.min_movies} of {len(documents)} train documents; lower min_movies")
    shuffled = (documents[row] for row in np.random.default_rng(spec.random_state).permutation(len(documents)))
    corpus = [[frequent[token] for token in TOKEN.findall(document) if token in frequent] for document in shuffled]
    choices: dict[str, Any] = {
        "vector_size": spec.dimensions,
        "window": spec.window,
        "negative": spec.negatives,
        "sample": spec.subsample,
        "epochs": spec.epochs,
        "alpha": spec.learning_rate,
        "sg": int(spec.objective == "skip-gram"),
        "min_count": 1,  # rare words are out of the corpus already
        "workers": 1,  # threads would update the vectors in an order that changes
        "seed": spec.random_state,
        "hashfxn": lambda word: zlib.crc32(word.encode()),  # Python's own hash differs between processes
        "callbacks": [_EpochProgress(spec)],
    }
    if spec.algorithm == "word2vec":
        return Word2Vec(corpus, **choices).wv
    return FastText(corpus, min_n=SHORTEST_SUBWORD, max_n=LONGEST_SUBWORD, bucket=spec.buckets, **choices).wv


class _EpochProgress:
    """gensim's callbacks."""

    def __init__(self, spec: WordVectors) -> None:
        progress = Progress(f"{spec.algorithm}, epochs", spec.epochs)
        self.on_epoch_end = lambda _: progress.advance()
        self.on_train_end = lambda _: progress.finish()
        self.on_train_begin = self.on_epoch_begin = lambda _: None  # gensim requires them
