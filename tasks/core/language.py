"""English text, normalised, tokenised, split into sentences and lemmatised.

The corpus file, its companion and the models at inference all get their words here, so that they agree. Language data
is loaded, in about a second, by the first annotator, not on import.
"""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tasks.core.errors import ModelError

if TYPE_CHECKING:
    from spacy.language import Language

Pipeline = Literal["simplemma", "en_core_web_sm"]

# As in `normalise_text`, and tags; CoNLL-U forbids the replacement character.
_LAST_OF_PLANES = "".join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
_WITHOUT_TEXT: Final = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    rf"\ufff9-\ufffd\U000e0000-\U000e007f\ud800-\udfff\ufdd0-\ufdef{_LAST_OF_PLANES}]"
)

# Most chunks are split into these groups by spaCy's rules for affixes, unless the chunk or its first group is an
# exception (`cannot`, `Mr.`). Splitting them here is fifty times faster.
_PLAIN_CHUNK: Final = re.compile(r"([A-Za-z]+)(,)?|([A-Za-z]*[a-z])(\.)")

BATCH: Final = 2_000  # texts annotated, and in memory, at once
MAX_KNOWN_CHUNKS: Final = 200_000  # about 150 MB of cached tokens
MAX_CHUNK: Final = 256  # spaCy takes seconds for ten thousand brackets or emoji without a space


class Token(NamedTuple):
    """A word or punctuation mark. `_` means not annotated, as in CoNLL-U."""

    form: str
    lemma: str
    space_after: bool  # in the text; True at its end
    upos: str = "_"
    xpos: str = "_"
    feats: str = "_"


def normalise_text(text: str) -> str:
    r"""Return the text on one line, in NFC, with single spaces and without invisible characters; idempotent.

    Every run of white space of any kind (also U+001C to U+001F) becomes one space, and the ends are stripped. Control
    characters, soft hyphens, zero-width and bidirectional marks (also the joiners of emoji and of Persian), byte-order
    marks, U+FFFD, lone surrogates and noncharacters are removed.

    >>> normalise_text("  Cafe\u0301\u00a0noir\r\n a\u200b b\x00 ")
    'Café noir a b'
    """
    if not (text.isascii() and text.isprintable()):  # most texts are, and need no search
        text = unicodedata.normalize("NFC", _WITHOUT_TEXT.sub("", text))
    return " ".join(text.split())


def lemmatise(texts: Iterable[str], pipeline: Pipeline = "simplemma") -> Iterator[list[str]]:
    """Yield the lemmas of each text, one per form: the same as in the annotated corpus of that pipeline."""
    for tokens in annotator(pipeline).tokens(texts):
        yield [token.lemma for token in tokens]


@cache
def annotator(pipeline: Pipeline = "simplemma") -> "Annotator":
    """Return this process's annotator, loaded on the first call; a `ModelError` if its pipeline is not installed."""
    return Annotator(pipeline)


class Annotator:
    """Tokens and sentences of English texts, the same for every pipeline, with that pipeline's lemmas and tags.

    Texts are normalised, then split by spaCy's English tokenizer and by the rule of its Sentencizer. The tokenizer
    never looks across a space, so each chunk between two spaces is tokenised once and cached: several times faster than
    the tokenizer's own cache, and bounded. Threads may share an annotator.
    """

    def __init__(self, pipeline: Pipeline = "simplemma") -> None:
        from spacy.lang.en import English  # noqa: PLC0415 - importing it takes a second
        from spacy.pipeline import Sentencizer  # noqa: PLC0415
        from spacy.vocab import Vocab  # noqa: PLC0415

        # An empty vocabulary saves computing twenty attributes per new word, none of which the tokenizer uses.
        self._nlp = English(vocab=Vocab())
        tokenizer: Any = self._nlp.tokenizer  # spaCy's types allow any function
        self._exceptions = frozenset(tokenizer.rules)
        self._sentence_ends = frozenset(Sentencizer.default_punct_chars)
        self._tagger, self._lemma = _load_pipeline(pipeline)
        self._known: dict[str, tuple[Token, ...]] = {}
        self._lock = threading.Lock()

    def tokens(self, texts: Iterable[str]) -> Iterator[list[Token]]:
        """Yield the tokens of each text; joined with their spaces they are the normalised text."""
        remaining = iter(texts)
        while batch := list(islice(remaining, BATCH)):
            chunks = [normalise_text(text).split() for text in batch]
            with self._lock:
                self._learn({chunk for of_text in chunks for chunk in of_text})
                annotated = [[token for chunk in of_text for token in self._known[chunk]] for of_text in chunks]
                if self._tagger:
                    annotated = _tag(self._tagger, annotated)
            yield from annotated

    def sentences(self, texts: Iterable[str]) -> Iterator[list[list[Token]]]:
        """Yield the sentences of each text, each a list of at least one token; no sentence for an empty text."""
        for tokens in self.tokens(texts):
            starts, ended = [0], False
            for position, token in enumerate(tokens):
                if token.form in self._sentence_ends:
                    ended = True
                elif ended and not all(unicodedata.category(character).startswith("P") for character in token.form):
                    starts.append(position)
                    ended = False
            ends = [*starts[1:], len(tokens)]
            yield [tokens[start:end] for start, end in zip(starts, ends, strict=True) if end > start]

    def _learn(self, chunks: set[str]) -> None:
        new = chunks.difference(self._known)
        if not new:
            return
        if len(self._known) + len(new) > MAX_KNOWN_CHUNKS:
            self._known.clear()
            new = chunks
        with self._nlp.memory_zone():  # or spaCy's vocabulary would keep every word
            self._known.update((chunk, self._tokenise(chunk)) for chunk in new)

    def _tokenise(self, chunk: str) -> tuple[Token, ...]:
        forms = self._split_chunk(chunk)
        return tuple([Token(form, self._lemma(form), number == len(forms)) for number, form in enumerate(forms, 1)])

    def _split_chunk(self, chunk: str) -> list[str]:
        plain = _PLAIN_CHUNK.fullmatch(chunk)
        if plain and len(chunk) <= MAX_CHUNK and chunk not in self._exceptions:
            forms = [form for form in plain.groups() if form]
            if forms[0] not in self._exceptions:
                return forms
        pieces = (chunk[start : start + MAX_CHUNK] for start in range(0, len(chunk), MAX_CHUNK))
        return [token.text for piece in pieces for token in self._nlp.tokenizer(piece)]


def _load_pipeline(name: Pipeline) -> "tuple[Language | None, Callable[[str], str]]":
    """Return the tagger, if any, which also lemmatises, and the lemmatiser of single forms."""
    if name == "simplemma":
        import simplemma  # noqa: PLC0415 - reads 30 MB of dictionary, on the first word

        return None, lambda form: unicodedata.normalize("NFC", simplemma.lemmatize(form.lower(), lang="en"))
    if find_spec(name) is None:
        raise ModelError(
            f"the annotation pipeline {name!r} is not installed: "
            f"run `python -m spacy download {name}`, or choose the pipeline 'simplemma'"
        )
    import spacy  # noqa: PLC0415 - as above

    # Without the parser, whose labels are not those of Universal Dependencies.
    return spacy.load(name, exclude=["parser", "senter", "ner"]), str


def _tag(tagger: "Language", texts: list[list[Token]]) -> list[list[Token]]:
    from spacy.tokens import Doc  # noqa: PLC0415 - as above

    def tagged(token: Token, word: Any) -> Token:
        lemma = unicodedata.normalize("NFC", word.lemma_) or token.form
        return Token(token.form, lemma, token.space_after, word.pos_ or "_", word.tag_ or "_", str(word.morph) or "_")

    with tagger.memory_zone():
        docs = (
            Doc(tagger.vocab, words=[token.form for token in tokens], spaces=[token.space_after for token in tokens])
            for tokens in texts
        )
        pairs = zip(texts, tagger.pipe(docs), strict=True)
        return [[tagged(token, word) for token, word in zip(tokens, doc, strict=True)] for tokens, doc in pairs]
