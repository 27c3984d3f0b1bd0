"""Titles and plots of the embedded sample: sentences with words typical of genres, with noise.

Each word of a plot is of one of the movie's own genres, of some other genre, or of none; how often is drawn for each
movie, so that some plots show their genres clearly and others hardly at all.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict

WORDS_FILE: Final = Path(__file__).with_name("sample_words.yaml")

# The probability that a word is of the movie's own genres: the bounds from which each plot's is drawn.
LEAST_OWN, MOST_OWN = 0.55, 0.95
OTHER_GENRE: Final = 0.04  # that it is of any genre, independent of the movie's
OWN_IN_TITLE: Final = 0.75
COMMON_FIRST: Final = 1.6  # exponent above 1: words at the head of a list are more frequent than those at its end
CREDITS_SHARE: Final = 0.03
CUT_AT: Final = 188  # characters that a listing shows before its tail

_IRREGULAR_PLURALS = {"child": "children", "wife": "wives"}
_TAKES_AN = re.compile(r"(?!uniform|unit|ouija)[aeiou]|heir|hon|FBI", re.IGNORECASE)
_SMALL_WORDS = {"a", "an", "and", "at", "for", "from", "in", "of", "on", "the", "to", "with"}
_SLOT = re.compile(r"(\b[Aa] )?\{(\w+)\}")
_ENTITIES = ((" and ", " &amp; "), ("'", "&#39;"), (". ", ".&nbsp;"), (", ", ",&nbsp;"), (".", "&hellip;"))

Uniform = Callable[[], float]  # the next number in [0, 1) of the sample's one random stream
Words = tuple[str, ...]
Option = TypeVar("Option")


class SampleWords(BaseModel):
    """The content of `sample_words.yaml`, where each field is explained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    genre_shares: dict[str, float]
    affinities: dict[str, dict[str, float]]
    years: dict[str, tuple[int, int]]
    certificates: dict[str, Words]
    runtimes_min: dict[str, int]
    ratings: dict[str, float]
    empty_fields: dict[str, float]
    description_flaws: dict[str, float]
    row_flaws: dict[str, float]
    different: dict[str, float]
    descriptions: dict[str, Words]
    tails: dict[str, int]
    signatures: Words
    openings: Words
    follow_ups: Words
    credits: Words
    titles: Words
    genre_words: dict[str, dict[str, Words]]
    neutral_words: dict[str, Words]
    doubled_verbs: frozenset[str]
    first_names: Words
    last_names: Words
    name_beginnings: Words
    name_endings: Words


@cache
def sample_words() -> SampleWords:
    """Return the words, names and rates of the sample, read on the first call."""
    return SampleWords.model_validate(yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8")))


def pick(uniform: Uniform, options: Sequence[Option]) -> Option:
    """Return one of the options, each with the same probability."""
    return options[int(uniform() * len(options))]


class _Slot(NamedTuple):
    """A role in a template: the literal text before it, and its words of no genre and of each genre."""

    before: str
    neutral: Words
    of_genre: dict[str, Words]


_Template = tuple[_Slot, ...]


class PlotWriter:
    """Writes titles and plots, with all randomness from the given stream."""

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        words = sample_words()
        towns = tuple(start + end for start in words.name_beginnings for end in words.name_endings)
        self._neutral = _inflected(words.neutral_words)
        self._neutral |= {"first": words.first_names, "town": towns, "last": words.last_names * 24 + towns}
        self._of_genre = {genre: _inflected(roles) for genre, roles in words.genre_words.items()}
        self._genres = tuple(self._of_genre)
        self._openings, self._follow_ups, self._credits, self._names = (
            tuple(self._compile(template, capitalise_first) for template in group)
            for group in (words.openings, words.follow_ups, words.credits, ("{first} {last}",))
        )
        self._titles = tuple(self._compile(template, capitalise_all) for template in words.titles)

    def plot(self, genres: Sequence[str], n_sentences: int) -> list[str]:
        """Return the sentences of a plot for a movie of these genres; sometimes one more with credits."""
        own = LEAST_OWN + (MOST_OWN - LEAST_OWN) * self._uniform()
        sentences = [self._fill(self._openings, genres, own)]
        sentences += [self._fill(self._follow_ups, genres, own) for _ in range(n_sentences - 1)]
        if self._uniform() < CREDITS_SHARE:
            sentences.append(self._fill(self._credits, genres, own))
        return sentences

    def title(self, genres: Sequence[str]) -> str:
        """Return a title, which shows the genres less clearly than a plot."""
        return self._fill(self._titles, genres, OWN_IN_TITLE)

    def name(self) -> str:
        """Return a full name."""
        return self._fill(self._names, (), 0.0)

    def _fill(self, templates: tuple[_Template, ...], genres: Sequence[str], own: float) -> str:
        uniform = self._uniform
        pieces = []
        for before, words, of_genre in pick(uniform, templates):
            pieces.append(before)
            if of_genre:
                chance = uniform()
                if chance < own:
                    words = of_genre[pick(uniform, genres)]  # noqa: PLW2901
                elif chance < own + OTHER_GENRE:
                    words = of_genre[pick(uniform, self._genres)]  # noqa: PLW2901
                pieces.append(words[int(uniform() ** COMMON_FIRST * len(words))])
            elif words:
                pieces.append(pick(uniform, words))
        return "".join(pieces)

    def _compile(self, template: str, capitalise: Callable[[str], str]) -> _Template:
        """Return a template as slots with words that include article and capitals; the last slot has no words."""
        slots = []
        end = 0
        for match in _SLOT.finditer(template):
            article, role = match[1] or "", match[2].lower()
            case = str if match[2] == role else capitalise
            neutral = _dress(self._neutral[role], article, case)
            of_genre = {g: _dress(roles[role], article, case) for g, roles in self._of_genre.items() if role in roles}
            slots.append(_Slot(template[end : match.start()], neutral, of_genre))
            end = match.end()
        return (*slots, _Slot(template[end:], (), {}))


def _inflected(roles: dict[str, Words]) -> dict[str, Words]:
    """Return the words of each role, and their inflected forms as further roles."""
    return roles | {
        "people": tuple(map(plural, roles["person"])),
        "things": tuple(map(plural, roles["thing"])),
        "aims": tuple(map(third_person, roles["aim"])),
        "aiming": tuple(map(gerund, roles["aim"])),
    }


def _dress(words: Words, article: str, case: Callable[[str], str]) -> Words:
    return tuple((with_article(article, word) if article else "") + case(word) for word in words)


def plural(noun: str) -> str:
    """Return the plural of a noun phrase of the sample."""
    head, of, rest = noun.partition(" of ")
    before, space, last = head.rpartition(" ")
    if last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    elif last.endswith("man") or last in _IRREGULAR_PLURALS:
        last = _IRREGULAR_PLURALS.get(last) or last[:-3] + "men"
    else:
        last += "es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return before + space + last + of + rest


def third_person(phrase: str) -> str:
    """Return a verb phrase in the third person singular."""
    verb, space, rest = phrase.partition(" ")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies" + space + rest
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "go")) else "s") + space + rest


def gerund(phrase: str) -> str:
    """Return a verb phrase as a gerund."""
    verb, space, rest = phrase.partition(" ")
    if verb in sample_words().doubled_verbs:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return verb + "ing" + space + rest


def with_article(article: str, noun: str) -> str:
    """Return the article, `a ` or `A `, in the form that a noun phrase needs; the sound decides, not the letter."""
    return article.replace(" ", "n ") if _TAKES_AN.match(noun) else article


def capitalise_first(phrase: str) -> str:
    """Return a phrase as at the beginning of a sentence."""
    return phrase[0].upper() + phrase[1:]


def capitalise_all(phrase: str) -> str:
    """Return a phrase as in a title."""
    first, *others = phrase.split()
    others = [word if word in _SMALL_WORDS else capitalise_first(word) for word in others]
    return " ".join([capitalise_first(first), *others])


def cut(text: str, tail: str) -> str:
    """Return a text as a listing shows it: cut between two words, with its tail."""
    return text[:CUT_AT].rsplit(" ", 1)[0] + tail


def put_dash_inside(text: str) -> str:
    """Return a text with an em dash inside its first sentence."""
    words = text.split(" ", 3)
    return f"{' '.join(words[:3])}—{words[3]}"


def escape(text: str) -> str:
    """Return a text with one kind of HTML entity in it."""
    for plain, entity in _ENTITIES:
        if plain in text:
            return text.replace(plain, entity)
    return text + "&hellip;"
