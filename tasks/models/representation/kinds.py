"""Which class does which representation. Owns the list; everything else asks here."""

from pathlib import Path
from typing import Final

from tasks.models.representation import mean_vectors, terms
from tasks.models.representation.mean_vectors import MeanVectors
from tasks.models.representation.terms import TermVectors
from tasks.models.representation.vectors import Vectors
from tasks.models.representations import Representation

_KINDS: Final[dict[str, tuple[type[TermVectors | MeanVectors], tuple[str, ...]]]] = {
    "bag-of-words": (TermVectors, terms.FILES),
    "character-ngrams": (TermVectors, terms.FILES),
    "side-fields": (TermVectors, terms.FILES),
    "word-vectors": (MeanVectors, mean_vectors.FILES),
    "pretrained-vectors": (MeanVectors, mean_vectors.FILES),
}


def new_vectors(representation: Representation) -> Vectors:
    """Return an unfitted representation."""
    vectors, _ = _KINDS[representation.kind]
    return vectors(representation)  # type: ignore[arg-type]  # the table pairs each kind with its class


def load_vectors(representation: Representation, folder: Path) -> Vectors:
    """Read a fitted representation of this kind from its folder."""
    vectors, _ = _KINDS[representation.kind]
    return vectors.load(folder)


def vector_files(representation: Representation) -> tuple[str, ...]:
    """Return the names of the files in which a fitted representation of this kind is stored."""
    _, files = _KINDS[representation.kind]
    return files
