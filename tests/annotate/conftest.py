"""The validator of Universal Dependencies as a fixture. It is under the GPL, so only tests use it."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from udtools import Validator
from udtools.state import State

from tasks.annotate.conllu import find_documents, join_forms, read_document
from tasks.core.language import Token


@dataclass(frozen=True)
class AnnotatedDocument:
    """One movie of our corpus, read back."""

    movie_id: str
    genres: list[str]
    sentences: list[list[Token]]

    @property
    def tokens(self) -> list[Token]:
        return [token for sentence in self.sentences for token in sentence]

    @property
    def forms(self) -> list[str]:
        return [token.form for token in self.tokens]

    @property
    def lemmas(self) -> list[str]:
        return [token.lemma for token in self.tokens]

    @property
    def text(self) -> str:
        return join_forms(self.tokens)


ReadCorpus = Callable[[Path], list[AnnotatedDocument]]


@pytest.fixture(scope="session")
def read_corpus() -> ReadCorpus:
    """Reads our corpus as that of another program is read."""

    def read(path: Path) -> list[AnnotatedDocument]:
        documents = {name: read_document(path, place) for name, place in find_documents(path)[0].items()}
        return [AnnotatedDocument(name, json.loads(found.genres), found.sentences) for name, found in documents.items()]

    return read


@pytest.fixture(scope="session")
def validate() -> Callable[[str, int], list[str]]:
    """Returns what is wrong with CoNLL-U at level 1 or 2.

    Level 2 judges a shadow copy with made-up tags and trees, for its rules about texts, spaces and ids: the corpus has
    no trees, and nobody is ever to read these.
    """
    validators = {level: Validator(lang="ud", level=level, output=None) for level in (1, 2)}

    def find_faults(content: str, level: int) -> list[str]:
        state = State()
        judged = content if level == 1 else "".join(shadow(content))
        validators[level].validate_file_handle(io.TextIOWrapper(io.BytesIO(judged.encode()), encoding="utf-8"), state)
        validators[level].validate_end(state)
        return [str(incident) for incident in state.error_tracker]

    return find_faults


def shadow(content: str) -> Iterator[str]:
    """Every word of no known part of speech and under the sentence's first one."""
    for line in io.StringIO(content):
        if line[0].isdigit():
            number, form, lemma, _, xpos, feats, _, _, *rest = line.split("\t")
            tree = ("0", "root") if number == "1" else ("1", "dep")
            yield "\t".join([number, form, lemma, "X", xpos, feats, *tree, *rest])
        else:
            yield line
