"""Which class does which representation. Owns the list; everything else asks here."""

from pathlib import Path
from typing import Any, Final

from tasks.models.encoder.store import FILES as ENCODER_FILES
from tasks.models.representation import mean_vectors, terms
from tasks.models.representation.mean_vectors import MeanVectors
from tasks.models.representation.terms import TermVectors
from tasks.models.representation.vectors import Vectors
from tasks.models.representations import FrozenEncoder, Representation

_KINDS: Final[dict[str, tuple[type[Any], tuple[str, ...]]]] = {
    "bag-of-words": (TermVectors, terms.FILES),
    "character-ngrams": (TermVectors, terms.FILES),
    "side-fields": (TermVectors, terms.FILES),
    "word-vectors": (MeanVectors, mean_vectors.FILES),
    "pretrained-vectors": (MeanVectors, mean_vectors.FILES),
}
REPRESENTATION_FILE: Final = "representation.json"


def new_vectors(representation: Representation) -> Vectors:
    """Return an unfitted representation."""
    vectors: Vectors = _class_of(representation)(representation)
    return vectors


def load_vectors(representation: Representation, folder: Path) -> Vectors:
    """Read a fitted representation of this kind from its folder."""
    vectors: Vectors = _class_of(representation).load(folder)
    return vectors


def vector_files(representation: Representation) -> tuple[str, ...]:
    """Return the names of the files in which a fitted representation of this kind is stored."""
    if isinstance(representation, FrozenEncoder):
        return (REPRESENTATION_FILE, *ENCODER_FILES)
    _, files = _KINDS[representation.kind]
    return files


def _class_of(representation: Representation) -> type[Any]:
    if isinstance(representation, FrozenEncoder):
        from tasks.models.encoder.frozen import FrozenVectors  # noqa: PLC0415 - torch takes seconds to import

        return FrozenVectors
    vectors, _ = _KINDS[representation.kind]
    return vectors
