"""Word vectors from a file that the user names. Owns which words are kept; how files look is `.vector_file`."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import DataError
from tasks.models.representation.terms import TOKEN
from tasks.models.representation.vector_file import read_vectors

logger = logging.getLogger(__name__)


def read_vectors_of(documents: Sequence[str], file: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Read the vectors of the words that occur in the documents, as written and in lower case.

    The file streams through, so that only what is kept takes memory, and only that is stored with a model: words that
    no train document has are unknown to it, even if the file has them. Of a word that stands twice in the file, the
    first counts.

    Returns:
        The words that the file has, sorted, and their vectors, one a row.

    Raises:
        DataError: the file is missing, damaged or of no known form, or has none of the words.
    """
    words = {token for document in documents for token in TOKEN.findall(document)}
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
