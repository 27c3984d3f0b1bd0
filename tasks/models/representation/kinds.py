"""Which class does which representation. Owns the list; everything else asks here."""

import inspect
from pathlib import Path
from typing import Any, Final

from tasks.models.encoder.store import FILES as ENCODER_FILES
from tasks.models.encoder.store import encoder_files, find_encoder
from tasks.models.representation import mean_vectors, terms
from tasks.models.representation.mean_vectors import MeanVectors
from tasks.models.representation.terms import TermVectors
from tasks.models.representation.vectors import Vectors
from tasks.models.representations import FrozenEncoder, PretrainedVectors, Representation, WordVectors

IS_A_TABLE: Final = True  # see tasks.source_code

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


def files_read(representation: Representation) -> tuple[Path, ...]:
    """Return the files, beside the movies, that fitting a representation reads."""
    if isinstance(representation, FrozenEncoder):
        return encoder_files(find_encoder(representation.encoder))
    return (representation.file,) if isinstance(representation, PretrainedVectors) else ()


def packages_of(representation: Representation) -> tuple[str, ...]:
    """Return the packages, beside numpy and scipy, that a representation is made with."""
    if isinstance(representation, FrozenEncoder):
        return ("torch", "transformers")
    return ("gensim",) if isinstance(representation, WordVectors) else ()


def code_file(representation: Representation) -> Path:
    """Return the module that fits a representation and reads it back."""
    if isinstance(representation, FrozenEncoder):
        return Path(__file__).parents[1] / "encoder" / "frozen.py"
    return Path(inspect.getfile(_class_of(representation)))


def _class_of(representation: Representation) -> type[Any]:
    if isinstance(representation, FrozenEncoder):
        from tasks.models.encoder.frozen import FrozenVectors  # noqa: PLC0415 - torch takes seconds to import

        return FrozenVectors
    vectors, _ = _KINDS[representation.kind]
    return vectors
