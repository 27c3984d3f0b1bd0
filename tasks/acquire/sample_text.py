"""Titles and plots of the embedded sample: sentences whose words point at genres, with noise. Owns the grammar.

Knows no dirt and no other field. Each word of a plot is of one of the movie's own genres, of some other genre, or of
none; how often is drawn for each movie, so that some plots say clearly what they are and others hardly at all.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.acquire.sample_english import (
    capitalise_all,
    capitalise_first,
    gerund,
    plural,
    third_person,
    with_article,
)
from tasks.acquire.sample_words import (
    FIRST_NAMES,
    GENERAL_WORDS,
    GENRE_WORDS,
    LAST_NAMES,
    NAME_BEGINNINGS,
    NAME_ENDINGS,
    NEUTRAL_WORDS,
)

Uniform = Callable[[], float]  # the next number in [0, 1) of the sample's one random stream

# The probability that a word is of the movie's own genres, for the least and the most telling plot.
LEAST_OWN, MOST_OWN = 0.55, 0.95
OTHER_GENRE: Final = 0.04  # that it is of any genre, whatever the movie's
OWN_IN_TITLE: Final = 0.75
COMMON_FIRST: Final = 1.6  # exponent above 1: words at the head of a list come up more often than those at its end

# A slot is a role of the vocabulary in braces. Capitals in a slot are capitals in the text, `a` becomes `an` by itself.
OPENINGS: Final = (
    "A {mood} {person} must {aim} when {event} shakes {town}.",
    "{first} {last}, a {mood} {person} from {town}, sets out to {aim}.",
    "In {place}, {number} {people} find a {thing} and decide to {aim}.",
    "After {event}, a {person} has to {aim} with the help of a {mood} {person}.",
    "The story of {first} {last}, a {person} who {aims} and ends up in {place}.",
    "When a {thing} turns up in {place}, {first} and {first} are drawn into {event}.",
    "{first} is a {mood} {person} whose life changes after {event}.",
    "A {person} and a {person} team up to {aim} in {place}.",
    "{Time}, a {mood} {person} arrives in {town} and {aims}.",
    "{first} {last} wants nothing more than to {aim}, but {event} stands in the way.",
    "Set in {place}, this {mood} tale follows {number} {people} who must {aim}.",
    "The {mood} life of a {person} is turned upside down by a {thing}.",
    "{Number} {people} {aim} in {town} while {event} draws near.",
    "A {person}'s {relation} goes missing in {place} after {event}.",
    "Following {event}, {first} returns to {town} to {aim}.",
    "Nobody in {town} believes {first}, a {person} who claims to have seen a {mood} {thing}.",
    "A {mood} look at {people} and {people} in {place}.",
    "{first} {last} is hired by a {mood} {person} to {aim}.",
    "Haunted by {event}, a {person} tries to {aim} and hides in {place}.",
    "A {thing}, a {thing} and a {mood} {person} bring {first} to {place}.",
)
FOLLOW_UPS: Final = (
    "Together they {aim}, but {event} changes everything.",
    "Soon {first} discovers a {thing} in {place}.",
    "With only a {thing} to rely on, {first} must learn to {aim}.",
    "But {aiming} is not easy when {people} are everywhere.",
    "Meanwhile a {mood} {person} {aims}.",
    "Only a {mood} {thing} can help them {aim}.",
    "{Time}, {event} forces the {person} to {aim}.",
    "What begins as {event} ends in {place}.",
    "{first}'s {relation}, a {person}, would rather {aim}.",
    "As {event} approaches, {people} and {people} gather in {place}.",
    "Can {first} {aim} before the {thing} is lost?",
    "The {things} are gone, and so is the {person}.",
    "A {mood} story of {feeling} and {feeling}.",
    "In the end {first} has to choose between {feeling} and {feeling}.",
    "Nothing in {town} will ever be the same again.",
    "Everyone has a secret, even {first}'s {relation}.",
    "Their days of {aiming} are over after {event}.",
    "It all leads to {event} in {place}.",
)
# Credits say nothing about the genre; cleaning may want to prune them.
CREDITS: Final = (
    "Directed by {first} {last}, starring {first} {last} and {first} {last}.",
    "Based on the novel by {first} {last}.",
    "Produced by {first} {last} and filmed in {town}.",
)
CREDITS_SHARE: Final = 0.03
TITLES: Final = (
    "The {Mood} {Person}", "{Town}", "A {Thing} for {first}", "{first} and the {Thing}", "The {Person} of {Town}",
    "{Thing}", "The {Thing}", "{Mood} {Thing}", "{first}", "The Last {Person}", "{Things} and {Things}",
    "My {Relation} the {Person}", "Return to {Town}", "{Mood} {Things}", "The {Things} of {Town}", "{Aiming}",
    "No More {Things}", "{People} Don't Cry", "{Event}", "The {Person}'s {Thing}", "{Feeling} and {Feeling}",
    "{Place}", "{Number} {People}", "How to {Aim}",
)  # fmt: skip

_SLOT = re.compile(r"(\b[Aa] )?\{(\w+)\}")

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a sentence, after its literal text: words of no genre, and those of each genre where there are any."""

    before: str
    neutral: Words
    of_genre: dict[str, Words]


Template = tuple[Slot, ...]


class PlotWriter:
    """Writes titles and plots. All randomness comes from the stream that it is given."""

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._genres = tuple(GENRE_WORDS)
        towns = tuple(start + end for start in split_words(NAME_BEGINNINGS) for end in split_words(NAME_ENDINGS))
        last_names = split_words(LAST_NAMES)
        self._neutral = {role: split_words(text) for role, text in GENERAL_WORDS.items()} | _roles(NEUTRAL_WORDS)
        self._neutral |= {"first": split_words(FIRST_NAMES), "town": towns, "last": last_names * 24 + towns}
        self._of_genre = {genre: _roles(text) for genre, text in GENRE_WORDS.items()}
        self._openings, self._follow_ups, self._credits, self._names = (
            tuple(self._compile(template, capitalise_first) for template in group)
            for group in (OPENINGS, FOLLOW_UPS, CREDITS, ("{first} {last}",))
        )
        self._titles = tuple(self._compile(template, capitalise_all) for template in TITLES)

    def plot(self, genres: Sequence[str], n_sentences: int) -> list[str]:
        """Return the sentences of a plot for a movie of these genres; now and then one more with credits."""
        own = LEAST_OWN + (MOST_OWN - LEAST_OWN) * self._uniform()
        sentences = [self._fill(self._openings, genres, own)]
        sentences += [self._fill(self._follow_ups, genres, own) for _ in range(n_sentences - 1)]
        if self._uniform() < CREDITS_SHARE:
            sentences.append(self._fill(self._credits, genres, own))
        return sentences

    def title(self, genres: Sequence[str]) -> str:
        """Return a title, less telling than a plot."""
        return self._fill(self._titles, genres, OWN_IN_TITLE)

    def name(self) -> str:
        """Return the full name of somebody."""
        return self._fill(self._names, (), 0.0)

    def _fill(self, templates: tuple[Template, ...], genres: Sequence[str], own: float) -> str:
        uniform = self._uniform
        parts = []
        for slot in templates[int(uniform() * len(templates))]:
            parts.append(slot.before)
            words = slot.neutral
            if slot.of_genre:
                chance = uniform()
                if chance < own:
                    words = slot.of_genre[genres[int(uniform() * len(genres))]]
                elif chance < own + OTHER_GENRE:
                    words = slot.of_genre[self._genres[int(uniform() * len(self._genres))]]
                parts.append(words[int(uniform() ** COMMON_FIRST * len(words))])
            elif words:
                parts.append(words[int(uniform() * len(words))])
        return "".join(parts)

    def _compile(self, template: str, capitalise: Callable[[str], str]) -> Template:
        """Return a template as slots whose words have article and capitals already; the last slot has no words."""
        slots = []
        end = 0
        for match in _SLOT.finditer(template):
            article, role = match[1] or "", match[2].lower()
            case = str if match[2] == role else capitalise
            neutral = _dress(self._neutral[role], article, case)
            of_genre = {g: _dress(roles[role], article, case) for g, roles in self._of_genre.items() if role in roles}
            slots.append(Slot(template[end : match.start()], neutral, of_genre))
            end = match.end()
        return (*slots, Slot(template[end:], (), {}))


def split_words(text: str) -> Words:
    """Return the phrases of a comma-separated list."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))


def _roles(text: str) -> dict[str, Words]:
    """Return the phrases of each role in a block of `role: phrase, phrase`, and their inflected forms as roles."""
    fields = re.split(r"\b(person|place|thing|aim|event|mood): ", text)
    roles = {role: split_words(phrases) for role, phrases in zip(fields[1::2], fields[2::2], strict=True)}
    return roles | {
        "people": tuple(map(plural, roles["person"])),
        "things": tuple(map(plural, roles["thing"])),
        "aims": tuple(map(third_person, roles["aim"])),
        "aiming": tuple(map(gerund, roles["aim"])),
    }


def _dress(words: Words, article: str, case: Callable[[str], str]) -> Words:
    return tuple((with_article(article, word) if article else "") + case(word) for word in words)
