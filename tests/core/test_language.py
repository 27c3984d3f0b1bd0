import doctest
import pickle
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import polars as pl
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc

from tasks.core import language
from tasks.core.errors import ModelError
from tasks.core.language import Annotator, annotator, lemmatise, normalise_text

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # with lone surrogates

PROSE = (
    "It can't be, she said... or can it?! \"No.\" Dr. Ada Bell (b. 1901) didn't wait.",
    "A well-known U.S. pilot flies 10km at 5:30p.m.; cost: $3.50/hr -- gonna be hard :) ok",
    "John's dogs' bones.Next sentence without a space? Yes!No e.g. this... and that.",
    "Mail me@example.org or see http://example.org/a_(b)?c=d. #tag @name 50% C++",
    "« Été » à la mer… 東京で。終わり 😀😀 :-( a/b and/or",
    "...",
    "?! Who",
)


def rejoin(tokens: list[language.Token]) -> str:
    return "".join(token.form + " " * token.space_after for token in tokens).removesuffix(" ")


def test_awkward_input_is_normalised(awkward: tuple[str, str]) -> None:
    text, normalised = awkward
    assert normalise_text(text) == normalised


@given(ANY_TEXT)
def test_normalised_text_is_clean_and_stays_as_it_is(text: str) -> None:
    normalised = normalise_text(text)
    assert normalise_text(normalised) == normalised
    assert unicodedata.is_normalized("NFC", normalised)
    assert normalised.split(" ") == (normalised.split() or [""])
    assert not {unicodedata.category(character) for character in normalised} & {"Cc", "Cs", "Zl", "Zp"}
    assert "\ufffd" not in normalised


def test_docstring_example_holds() -> None:
    result = doctest.testmod(language)
    assert result.attempted > 0
    assert result.failed == 0


@given(st.lists(ANY_TEXT, max_size=3))
def test_tokens_give_the_normalised_text_back(texts: list[str]) -> None:
    assert [rejoin(tokens) for tokens in annotator().tokens(texts)] == [normalise_text(text) for text in texts]


@given(ANY_TEXT)
def test_tokens_are_never_empty_nor_contain_spaces(text: str) -> None:
    (sentences,) = annotator().sentences([text])
    for token in (token for sentence in sentences for token in sentence):
        for value in (token.form, token.lemma):
            assert value.split() == [value]
            assert unicodedata.is_normalized("NFC", value)
    assert all(sentences)


def spacy_sentences(texts: list[str]) -> list[list[list[str]]]:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return [[[token.text for token in sentence] for sentence in doc.sents] for doc in nlp.pipe(texts)]


def our_sentences(texts: list[str]) -> list[list[list[str]]]:
    return [[[token.form for token in sentence] for sentence in text] for text in Annotator().sentences(texts)]


def test_tokens_and_sentences_are_those_of_spacy() -> None:
    texts = [*PROSE, " ".join(PROSE)]
    assert our_sentences(texts) == spacy_sentences(texts)


def test_tokens_and_sentences_are_those_of_spacy_on_real_descriptions(real_listings: Path) -> None:
    listing = pl.scan_csv(real_listings / "horror.csv", infer_schema=False, truncate_ragged_lines=True)
    texts = listing.select(pl.col("description").fill_null("")).head(300).collect().to_series().to_list()
    texts = [normalise_text(text) for text in texts]
    assert our_sentences(texts) == spacy_sentences(texts)


@settings(max_examples=500)  # the first example loads the language data
@given(st.from_regex(r"[A-Za-z]{1,12}[.,]?", fullmatch=True))
def test_words_that_need_no_rules_are_split_as_spacy_splits_them(word: str) -> None:
    assert annotator()._split_chunk(word) == [token.text for token in spacy_tokenizer()(word)]


def test_exceptions_and_their_neighbours_are_split_as_spacy_splits_them() -> None:
    tokenizer = spacy_tokenizer()
    for exception in tokenizer.rules:
        for chunk in {exception + end for end in ("", ",", ".", "..", "s", "'s")}:
            if chunk.split() == [chunk]:
                assert annotator()._split_chunk(chunk) == [token.text for token in tokenizer(chunk)]


@cache
def spacy_tokenizer() -> Tokenizer:
    return spacy.blank("en").tokenizer


def test_lemmas_do_not_depend_on_case_and_split_contractions() -> None:
    assert list(lemmatise(["The Wolves were not running.", "She can't."])) == [
        ["the", "wolf", "be", "not", "run", "."],
        ["she", "can", "not", "."],
    ]


def test_text_without_a_token_has_no_sentence() -> None:
    assert list(annotator().sentences(["", " \u200b\n", "Yes."]))[:2] == [[], []]
    assert list(lemmatise(["", "Yes."])) == [[], ["yes", "."]]
    assert list(lemmatise([])) == []


def test_results_come_in_order_across_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "BATCH", 2)
    assert list(lemmatise(f"word{number}" for number in range(5))) == [[f"word{number}"] for number in range(5)]


def test_forgetting_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(Annotator().sentences(PROSE))
    monkeypatch.setattr(language, "MAX_KNOWN_CHUNKS", 3)
    forgetful = Annotator()
    assert [sentences for text in PROSE for sentences in forgetful.sentences([text])] == expected


def test_a_text_without_a_space_is_tokenised_in_pieces() -> None:
    # spaCy needs a quarter of a minute for these brackets in one piece.
    text = "(" * 10_000 + "end"
    (tokens,) = annotator().tokens([text])
    assert rejoin(tokens) == text
    (pieces,) = annotator().tokens(["x" * (language.MAX_CHUNK + 1)])
    assert [(len(token.form), token.space_after) for token in pieces] == [(language.MAX_CHUNK, False), (1, True)]


def test_threads_share_an_annotator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "BATCH", 3)
    monkeypatch.setattr(language, "MAX_KNOWN_CHUNKS", 20)
    texts = [f"{text} {number}" for number in range(20) for text in PROSE]
    shared = Annotator()
    expected = list(Annotator().tokens(texts))
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: list(shared.tokens(texts)), range(8))) == [expected] * 8


def test_tokens_can_be_pickled() -> None:
    (tokens,) = annotator().tokens(["A word."])
    assert pickle.loads(pickle.dumps(tokens)) == tokens


def test_missing_pipeline_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"python -m spacy download en_core_web_sm.*simplemma"):
        Annotator("en_core_web_sm")


def test_tagger_adds_tags_and_lemmas_to_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    def stand_in(name: str, exclude: list[str]) -> Language:
        assert name == "en_core_web_sm"
        assert "parser" in exclude
        nlp = spacy.blank("en")
        nlp.add_pipe("capitals_are_names")
        return nlp

    @Language.component("capitals_are_names")
    def capitals_are_names(doc: Doc) -> Doc:
        for token in doc:
            if token.text.istitle():
                token.pos_, token.tag_, token.lemma_ = "PROPN", "NNP", token.text.lower()
                token.set_morph("Number=Sing")
        return doc

    monkeypatch.setattr(language, "find_spec", lambda _: "found")
    monkeypatch.setattr(spacy, "load", stand_in)
    texts = ["Ada can't. Go", ""]
    tagged, empty = Annotator("en_core_web_sm").sentences(texts)
    assert empty == []
    assert tagged[0][:2] == [
        ("Ada", "ada", True, "PROPN", "NNP", "Number=Sing"),
        ("ca", "ca", False, "_", "_", "_"),
    ]
    untagged = next(Annotator().sentences(texts))
    assert [[token.form for token in sentence] for sentence in tagged] == [
        [token.form for token in sentence] for sentence in untagged
    ]


def test_importing_loads_no_language_data() -> None:
    loaded = "bool({'spacy', 'simplemma'} & set(sys.modules))"
    code = f"import sys, tasks.core.language, tasks.annotate.corpus; sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
