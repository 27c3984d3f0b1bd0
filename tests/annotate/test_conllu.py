from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import conllu
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.annotate.conllu import format_document
from tasks.core.language import Token, annotator, normalise_text

Validate = Callable[[str, int], list[str]]
ReadCorpus = Callable[[Path], list[Any]]

GENRES = ["Film-Noir", "Drama"]
TEXTS = (
    "She can't go. \u201cWhy?\u201d he asks...Nobody knows!",
    "# no comment = 1\tand\u00a0two  spaces",
    "_ - 1.5 1-2 | \\ = \"quoted\" 'single' SpaceAfter=No",
    "« Été » 東京。終わり 😀 e\u0301 \u0301 \u0338= <b>&amp;</b>",
    "{'a': 1} [\"b\"] null ; , \ufffd\x00\u2028\x85\u200b.",
    "",
)
EXPECTED = """\
# newdoc id = tt1
# genre = ["Film-Noir", "Drama"]
# sent_id = tt1-1
# text = She can't.
1\tShe\tshe\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
3\tn't\tnot\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
4\t.\t.\t_\t_\t_\t_\t_\t_\t_

# sent_id = tt1-2
# text = Go!
1\tGo\tgo\tVERB\tVB\tVerbForm=Inf\t_\t_\t_\tSpaceAfter=No
2\t!\t!\t_\t_\t_\t_\t_\t_\t_

"""
SENTENCES = [
    [Token("She", "she", True), Token("ca", "can", False), Token("n't", "not", False), Token(".", ".", True)],
    [Token("Go", "go", False, "VERB", "VB", "VerbForm=Inf"), Token("!", "!", True)],
]


def annotate(texts: Iterator[str] | tuple[str, ...] | list[str]) -> str:
    annotated = enumerate(annotator().sentences(texts))
    return "".join(format_document(f"tt{number}", GENRES, sentences) for number, sentences in annotated)


def test_document_has_the_stated_form() -> None:
    assert format_document("tt1", GENRES, SENTENCES) == EXPECTED
    assert format_document("tt1", GENRES, []) == ""


def test_the_package_conllu_reads_and_writes_the_same_bytes() -> None:
    content = annotate(TEXTS)
    parsed = conllu.parse(content)
    assert "".join(sentence.serialize() for sentence in parsed) == content
    assert [sentence.metadata["newdoc id"] for sentence in parsed if "newdoc id" in sentence.metadata] == [
        "tt0", "tt1", "tt2", "tt3", "tt4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "wrong", "level"),
    [("4\t.\t.", "5\t.\t.", 1), ("# text = Go!", "# text = Go !", 2), ("tt1-2", "tt1-1", 2)],
)
def test_the_validator_finds_what_is_wrong(right: str, wrong: str, level: int, validate: Validate) -> None:
    assert validate(EXPECTED, level) == []
    assert validate(EXPECTED.replace(right, wrong), level) != []


@pytest.mark.parametrize("level", [1, 2])
def test_awkward_texts_make_a_valid_file(level: int, validate: Validate) -> None:
    assert validate(annotate(TEXTS), level) == []


def test_an_awkward_text_makes_a_valid_file_and_comes_back_normalised(
    awkward: tuple[str, str], tmp_path: Path, validate: Validate, read_corpus: ReadCorpus
) -> None:
    text, normalised = awkward
    content = annotate([text, "The next one."])
    assert validate(content, 2) == []
    path = tmp_path / "awkward.conllu"
    path.write_bytes(content.encode())
    read = [document.text for document in read_corpus(path)]
    assert read == [normalised, "The next one."] if normalised else ["The next one."]


# Each example writes the file anew; the first one loads the language data.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=60), max_size=4))
def test_any_text_makes_a_valid_file_and_comes_back(
    texts: list[str], tmp_path: Path, validate: Validate, read_corpus: ReadCorpus
) -> None:
    content = annotate(texts)
    assert validate(content, 2) == []
    path = tmp_path / "any.conllu"
    path.write_bytes(content.encode())
    read = {document.movie_id: document.text for document in read_corpus(path)} if content else {}
    assert read == {f"tt{at}": normalise_text(text) for at, text in enumerate(texts) if normalise_text(text)}


def test_reading_gives_back_what_was_written(tmp_path: Path, read_corpus: ReadCorpus) -> None:
    path = tmp_path / "corpus.conllu"
    path.write_bytes(annotate(TEXTS).encode())
    read = read_corpus(path)
    annotated = [sentences for sentences in annotator().sentences(TEXTS) if sentences]
    assert [document.sentences for document in read] == annotated
    assert [document.genres for document in read] == [GENRES] * len(annotated)


def test_tags_come_back(tmp_path: Path, read_corpus: ReadCorpus) -> None:
    path = tmp_path / "corpus.conllu"
    path.write_bytes(EXPECTED.encode())
    (document,) = read_corpus(path)
    assert document.sentences == SENTENCES
    assert document.text == "She can't. Go!"
