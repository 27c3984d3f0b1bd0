"""Files of word vectors: word2vec text, word2vec binary and GloVe text, plain or gzip. Owns how they look.

All are read once from front to back, in memory that does not grow with them; their content tells which they are.

- word2vec: a first line with the number of rows and of dimensions. A row is a word, a space and its numbers: decimal,
  with spaces between and a line feed at the end, or as 32-bit floats, little-endian, with or without a line feed.
- GloVe: the same as word2vec's text without the first line.

Source: `SaveModel` in word2vec.c of Mikolov et al. 2013; Pennington et al. 2014, GloVe, `save_params` in glove.c.
"""

import gzip
import logging
import re
import zlib
from collections.abc import Container, Iterator, Set
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.progress import Progress

logger = logging.getLogger(__name__)

LONGEST_LINE: Final = 1 << 20  # bytes; 300 dimensions take about 3,000
LONGEST_WORD: Final = 1 << 12  # bytes
BLOCK: Final = 1 << 20  # bytes read at once
LARGEST: Final = 1e6  # trained vectors stay far below; damaged bytes rarely do
MOST_DIMENSIONS: Final = 10_000

_HEADER: Final = re.compile(rb"(\d{1,12}) (\d{1,6})\s*")
_CONTROL: Final = re.compile(rb"[^\t\n\r\x20-\x7e\x80-\xff]")


@dataclass(frozen=True)
class _Form:
    dimensions: int
    rows: int | None  # what a header promises
    is_binary: bool


def read_vectors_of(words: Set[str], file: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Read the vectors of some words, as written and in lower case.

    The file streams through, so that only what is kept takes memory, and only that is stored with a model: words that
    no train document has are unknown to it, even if the file has them. Of a word that stands twice in the file, the
    first counts.

    Returns:
        The words that the file has, sorted, and their vectors, one a row.

    Raises:
        DataError: the file is missing, damaged or of no known form, or has none of the words.
    """
    wanted = {form.encode(): form for word in words for form in (word, word.lower())}
    found: dict[str, NDArray[np.float32]] = {}
    repeated = 0
    for name, vector in read_vectors(file, wanted.keys()):
        repeated += wanted[name] in found
        found.setdefault(wanted[name], vector)
    if not found:
        raise DataError(
            f"{file} has none of the {len(words):,} words of the train documents; is it of their language? Where its "
            "words are capitalised, choose an input with lowercase: false"
        )
    known = sum(word in found or word.lower() in found for word in words)
    share = f"{known:,} of {len(words):,} words of the train documents ({known / len(words):.0%})"
    logger.info("%s: vectors of %s; the other words do not count", file, share)
    if repeated:
        logger.warning("%s: %s words stand in it again, ignored", file, f"{repeated:,}")
    kept = sorted(found)
    return kept, np.stack([found[word] for word in kept])


def read_vectors(file: Path, wanted: Container[bytes]) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
    """Yield the wanted words, in UTF-8, and their vectors, in the order of the file.

    Of other words only the number of columns is checked.

    Raises:
        DataError: the file is missing, damaged or of no known form; says where, and what was expected.
    """
    try:
        with file.open("rb") as raw:
            is_gzip = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
            form = _detect(stream, file)
            progress = Progress(f"reading {file.name}", form.rows)
            read_rows = _read_binary if form.is_binary else _read_text
            for word, vector in read_rows(stream, form, file, wanted):
                progress.advance()
                if vector is not None:
                    yield word, vector
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}); check the path, or fetch the file again") from error
    if form.rows not in (None, progress.done):
        raise DataError(
            f"{file} promises {form.rows:,} words in line 1 and has {progress.done:,}; it is incomplete or damaged: "
            "fetch it again"
        )
    progress.finish()


_Row = tuple[bytes, NDArray[np.float32] | None]  # None: not a wanted word


def _detect(stream: BinaryIO, file: Path) -> _Form:
    first = stream.readline(LONGEST_LINE)
    if header := _HEADER.fullmatch(first):
        rows, dimensions = int(header[1]), int(header[2])
        if rows and 0 < dimensions <= MOST_DIMENSIONS:
            beginning = stream.read(LONGEST_WORD + 4 * dimensions)
            numbers = beginning[beginning.find(b" ") + 1 :][: 4 * dimensions]
            stream.seek(len(first))
            return _Form(dimensions, rows, is_binary=_CONTROL.search(numbers) is not None or not _is_utf8(numbers))
    _, *numbers_of_first = first.rstrip().split(b" ")
    if len(numbers_of_first) < 2 or not all(map(_is_number, numbers_of_first)):
        raise DataError(
            f"{file} is not a file of word vectors: line 1 should have a number of words and a number of dimensions "
            f"(word2vec), or a word and its numbers (GloVe), all with single spaces between; it begins {first[:60]!r}"
        )
    stream.seek(0)
    return _Form(len(numbers_of_first), None, is_binary=False)


def _read_text(stream: BinaryIO, form: _Form, file: Path, wanted: Container[bytes]) -> Iterator[_Row]:
    for number in count(1 if form.rows is None else 2):
        line = stream.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) == LONGEST_LINE:
            raise DataError(f"{file}, line {number}: longer than {LONGEST_LINE:,} bytes; not a file of word vectors")
        line = line.rstrip()
        if not line:
            continue
        word, _, rest = line.partition(b" ")
        surplus = line.count(b" ") - form.dimensions
        # Some words of GloVe's files have spaces inside. No token has, so that none of them can be wanted.
        if surplus < 0 or (surplus > 0 and _is_number(rest.split(b" ")[surplus - 1])):
            raise DataError(
                f"{file}, line {number}: {form.dimensions + surplus} numbers after the word, expected "
                f"{form.dimensions}; the file is damaged: fetch it again"
            )
        if surplus > 0 or word not in wanted:
            yield word, None
            continue
        try:
            vector = [float(value) for value in rest.split(b" ")]
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}; expected {form.dimensions} numbers") from error
        yield word, _checked(np.array(vector), f"{file}, line {number}")


def _read_binary(stream: BinaryIO, form: _Form, file: Path, wanted: Container[bytes]) -> Iterator[_Row]:
    buffer, start, size = b"", 0, 4 * form.dimensions
    assert form.rows is not None
    for row in range(1, form.rows + 1):
        while True:
            space = buffer.find(b" ", start, start + LONGEST_WORD)
            end = space + 1 + size
            if space >= 0 and end <= len(buffer):
                break
            block = stream.read(BLOCK)
            if not block or (space < 0 and len(buffer) - start >= LONGEST_WORD):
                raise DataError(
                    f"{file}, word {row:,} of {form.rows:,}: expected a word, a space and {size} bytes; the file is "
                    "truncated or damaged: fetch it again"
                )
            buffer, start = buffer[start:] + block, 0
        word = buffer[start:space].lstrip(b"\n")
        vector = np.frombuffer(buffer, "<f4", form.dimensions, space + 1) if word in wanted else None
        yield word, None if vector is None else _checked(vector, f"{file}, word {row:,}")
        start = end
    if (buffer[start:] + stream.read(BLOCK)).strip():
        raise DataError(f"{file} goes on after the {form.rows:,} words that line 1 promises; fetch it again")


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
