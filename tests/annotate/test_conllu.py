from collections.abc import Callable, Iterator
from pathlib import Path

import conllu
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.annotate import conllu as module
from tasks.annotate.conllu import format_document, read_documents, read_source
from tasks.core.errors import DataError
from tasks.core.language import Token, annotator, normalise_text

Validate = Callable[[str, int], list[str]]

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
    awkward: tuple[str, str], tmp_path: Path, validate: Validate
) -> None:
    text, normalised = awkward
    content = annotate([text, "The next one."])
    assert validate(content, 2) == []
    path = tmp_path / "awkward.conllu"
    path.write_bytes(content.encode())
    read = [document.text for document in read_documents(path)]
    assert read == [normalised, "The next one."] if normalised else ["The next one."]


# Each example writes the file anew; the first one loads the language data.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=60), max_size=4))
def test_any_text_makes_a_valid_file_and_comes_back(texts: list[str], tmp_path: Path, validate: Validate) -> None:
    content = annotate(texts)
    assert validate(content, 2) == []
    path = tmp_path / "any.conllu"
    path.write_bytes(content.encode())
    read = {document.movie_id: document.text for document in read_documents(path)}
    assert read == {f"tt{at}": normalise_text(text) for at, text in enumerate(texts) if normalise_text(text)}


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 1 << 20])
def test_reading_gives_back_what_was_written(chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "corpus.conllu"
    path.write_bytes(annotate(TEXTS).encode())
    annotated = [sentences for sentences in annotator().sentences(TEXTS) if sentences]
    read = list(read_documents(path))
    assert [document.sentences for document in read] == annotated
    assert [document.genres for document in read] == [tuple(GENRES)] * len(annotated)
    assert [list(zip(document.forms, document.lemmas, strict=True)) for document in read] == [
        [(token.form, token.lemma) for sentence in sentences for token in sentence] for sentences in annotated
    ]


def test_tags_come_back(tmp_path: Path) -> None:
    path = tmp_path / "corpus.conllu"
    path.write_bytes(EXPECTED.encode())
    (document,) = read_documents(path)
    assert document.sentences == SENTENCES
    assert document.text == "She can't. Go!"


def test_an_empty_corpus_has_no_document(tmp_path: Path) -> None:
    path = tmp_path / "corpus.conllu"
    path.touch()
    assert list(read_documents(path)) == []


def test_a_document_is_found_with_all_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.conllu"
    documents = [EXPECTED.replace("tt1", movie_id) for movie_id in ("tt1", "tt11", "tt2")]
    path.write_bytes("".join(documents).encode())
    assert [read_source(path, movie_id) for movie_id in ("tt1", "tt11", "tt2")] == documents
    assert read_source(path, "tt") == ""


MALFORMED = {
    "no header": ("# newdoc id = tt1\n# genre", "# genre", 1, "newdoc id"),
    "no genres": ('# genre = ["Film-Noir", "Drama"]\n', "", 2, "# genre"),
    "genres no JSON": ('"Drama"]', '"Drama"', 2, "JSON"),
    "genres no list": ('["Film-Noir", "Drama"]', '"Drama"', 2, "JSON list"),
    "genres no names": ('["Film-Noir", "Drama"]', "[1]", 2, "JSON list"),
    "nine columns": ("3\tn't\tnot\t_", "3\tn't\tnot", 7, "10 tab-separated fields"),
    "eleven columns": ("3\tn't\tnot\t_", "3\tn't\tnot\t_\t_", 7, "10 tab-separated fields"),
    "empty column": ("4\t.\t.\t_", "4\t.\t\t_", 8, "none empty"),
    "number skipped": ("2\tca", "3\tca", 6, "number 2"),
    "number in the second sentence": ("2\t!", "7\t!", 13, "number 2"),
    "multiword token": ("2\tca", "2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_\n2\tca", 6, "number 2"),
    "no number 1": ("1\tGo", "0\tGo", 12, "number 1"),
    "line that is no comment": ("# text = Go!", "text = Go!", 11, "10 tab-separated fields"),
    "no tokens": ("1\tGo\tgo\tVERB\tVB\tVerbForm=Inf\t_\t_\t_\tSpaceAfter=No\n2\t!\t!" + "\t_" * 7, "#", 10, "tokens"),
    "no comments": ("# sent_id = tt1-2\n# text = Go!\n", "", 10, "comments"),
    "two blank lines": ("\n\n# sent_id = tt1-2", "\n\n\n# sent_id = tt1-2", 10, "10 tab-separated fields"),
    "cut off": ("2\t!\t!" + "\t_" * 7 + "\n\n", "2\t!\t!", 13, "ends within a sentence"),
    "one line end at the end": ("2\t!\t!" + "\t_" * 7 + "\n\n", "2\t!\t!" + "\t_" * 7 + "\n", 14, "ends within"),
    "Windows line ends": ("\n", "\r\n", 1, "carriage return"),
    "invalid UTF-8": ("n't\tnot", "n't\t\udcff", 7, "UTF-8"),
}


@pytest.mark.parametrize(("old", "new", "line", "message"), MALFORMED.values(), ids=MALFORMED)
def test_damage_is_reported_with_file_and_line(old: str, new: str, line: int, message: str, tmp_path: Path) -> None:
    assert old in EXPECTED
    path = tmp_path / "damaged.conllu"
    path.write_bytes(EXPECTED.replace(old, new).encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=rf"damaged\.conllu, line {line}: .*{message}"):
        list(read_documents(path))


def test_lines_are_counted_across_chunks_and_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 50)
    path = tmp_path / "damaged.conllu"
    path.write_bytes((EXPECTED * 3 + EXPECTED.replace("4\t.", "4.1\t.")).encode())
    with pytest.raises(DataError, match=f"line {3 * EXPECTED.count(chr(10)) + 8}: "):
        list(read_documents(path))


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.conllu cannot be read .* run the annotation stage"):
        list(read_documents(tmp_path / "none.conllu"))
