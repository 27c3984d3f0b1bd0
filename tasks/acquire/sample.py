"""The embedded sample: any number of invented movies in the form of the real listings.

Generated, not stored, so that the pipeline runs anywhere, at any size, without third-party rows. The same size and seed
give the same bytes. Words, rates and rules of grammar are in `sample_words.yaml`.
"""

import csv
import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from itertools import accumulate, combinations
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import yaml

from tasks.core.logs import Progress
from tasks.core.schema import EXCLUDED_GENRES, GENRES, RAW_COLUMNS

WORDS_FILE: Final = Path(__file__).with_name("sample_words.yaml")
# The genre of each file of the real set. There is none for Comedy, Drama, Music, Musical and Western.
GENRE_FILES: Final = {
    genre: f"{genre.lower()}.csv" for genre in GENRES if genre not in {"Comedy", "Drama", "Music", "Musical", "Western"}
} | {"Sci-Fi": "scifi.csv", "Sport": "sports.csv"}
BLOCK: Final = 1 << 16  # random numbers drawn at a time
ID_STEP, ID_PRIME = 48_271, 9_999_991  # steps through every id below the prime once
_TAKES_AN = re.compile(r"(?!uniform|unit|ouija)[aeiou]|heir|hon|FBI", re.IGNORECASE)
_SMALL_WORDS = {"a", "an", "and", "at", "for", "from", "in", "of", "on", "the", "to", "with"}
_SLOT = re.compile(r"(\b[Aa] )?\{(\w+)\}")

Uniform = Callable[[], float]  # the next number in [0, 1) of the sample's one random stream
Words = Sequence[str]
Slot = tuple[str, Words, Mapping[str, Words]]  # of a template: the text before it, its words of no genre, of each genre
Option = TypeVar("Option")


@cache
def sample_words() -> SimpleNamespace:
    """Return the content of `sample_words.yaml`, where each field is explained."""
    return SimpleNamespace(**yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8")))


def pick(uniform: Uniform, options: Sequence[Option]) -> Option:
    """Return one of the options, each with the same probability."""
    return options[int(uniform() * len(options))]


def inflect(phrase: str, form: str) -> str:
    """Return a noun phrase as `people` or `things`, or a verb phrase as `aims` or `aiming`."""
    rules = sample_words().inflections[form]
    word, end, rest = phrase.partition(rules["ends_before"])
    pattern = next(pattern for pattern in rules["endings"] if re.search(pattern, word))
    return re.sub(pattern, rules["endings"][pattern], word, count=1) + end + rest


def capitalise(phrase: str, *, title: bool) -> str:
    """Return a phrase as at the beginning of a sentence or as in a title."""
    first, *others = phrase.split(" ") if title else [phrase]
    others = [word if word in _SMALL_WORDS else capitalise(word, title=False) for word in others]
    return " ".join([first[0].upper() + first[1:], *others])


class GenreSets:
    """Every set of one to three genres that some file lists, with affinities fitted to the shares of genres and sizes.

    Source: iterative proportional fitting, W. E. Deming and F. F. Stephan, "On a least squares adjustment of a sampled
    frequency table when the expected marginal totals are known", Annals of Mathematical Statistics 11 (1940).
    """

    def __init__(self) -> None:
        words = sample_words()
        largest = sum(words.genre_shares.values()) - 2 + words.single_genre_share
        size_shares = {1: words.single_genre_share, 2: 1 - words.single_genre_share - largest, 3: largest}
        every_set = [genres for size in size_shares for genres in combinations(GENRES, size)]
        self.sets = [genres for genres in every_set if not GENRE_FILES.keys().isdisjoint(genres)]
        wanted = [([genre in genres for genres in self.sets], share) for genre, share in words.genre_shares.items()]
        wanted += [([len(genres) == size for genres in self.sets], share) for size, share in size_shares.items()]
        margins = [(np.array(has), share) for has, share in wanted]
        pairs = [combinations(genres, 2) for genres in self.sets]
        weights = np.array([prod(words.affinities.get(a, {}).get(b, 1.0) for a, b in of_set) for of_set in pairs])
        for _ in range(50):
            for has, share in margins:
                inside = weights[has].sum()
                weights *= np.where(has, share / inside, (1 - share) / (weights.sum() - inside))
        self.probabilities = weights / weights.sum()
        self._bounds = np.cumsum(self.probabilities)[:-1].tolist()

    def draw(self, uniform: Uniform) -> tuple[str, ...]:
        """Return a random genre set, sorted, from one number in [0, 1)."""
        return self.sets[bisect(self._bounds, uniform())]


class PlotWriter:
    """Writes titles and plots: each word is of one of the movie's own genres, of some other genre, or of none.

    How often is drawn for each plot, so that some show their genres clearly and others hardly at all.
    """

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._words = words = sample_words()
        towns = [start + end for start in words.name_beginnings for end in words.name_endings]
        self._neutral = _with_inflections(words.neutral_words)
        self._neutral |= {"first": words.first_names, "town": towns, "last": words.last_names * 24 + towns}
        self._of_genre = {genre: _with_inflections(roles) for genre, roles in words.genre_words.items()}
        self._genres = tuple(self._of_genre)
        self._templates = {
            kind: [self._compile(template, title=kind == "title") for template in templates]
            for kind, templates in words.templates.items()
        }

    def plot(self, genres: Sequence[str], n_sentences: int) -> list[str]:
        """Return the sentences of a plot for a movie of these genres; sometimes one more with credits."""
        least, most = self._words.own_genre
        own = least + (most - least) * self._uniform()
        sentences = [self._fill(kind, genres, own) for kind in ["opening"] + ["follow_up"] * (n_sentences - 1)]
        if self._uniform() < self._words.credits_share:
            sentences.append(self._fill("credits", genres, own))
        return sentences

    def title(self, genres: Sequence[str]) -> str:
        """Return a title, which shows the genres less clearly than a plot."""
        return self._fill("title", genres, self._words.own_genre_in_title)

    def name(self) -> str:
        """Return a full name."""
        return self._fill("name", (), 0.0)

    def _fill(self, kind: str, genres: Sequence[str], own: float) -> str:
        uniform, other_genre, exponent = self._uniform, self._words.other_genre, self._words.common_first
        pieces = []
        for before, words, of_genre in pick(uniform, self._templates[kind]):
            pieces.append(before)
            if of_genre:
                chance = uniform()
                if chance < own:
                    words = of_genre[pick(uniform, genres)]  # noqa: PLW2901
                elif chance < own + other_genre:
                    words = of_genre[pick(uniform, self._genres)]  # noqa: PLW2901
                pieces.append(words[int(uniform() ** exponent * len(words))])
            elif words:
                pieces.append(pick(uniform, words))
        return "".join(pieces)

    def _compile(self, template: str, *, title: bool) -> list[Slot]:
        """Return a template as slots with words that include article and capitals; the last slot has no words."""
        slots: list[Slot] = []
        end = 0
        for match in _SLOT.finditer(template):
            role = match[2].lower()
            case = str if match[2] == role else partial(capitalise, title=title)
            dress = partial(dress_words, article=match[1] or "", case=case)
            of_genre = {genre: dress(roles[role]) for genre, roles in self._of_genre.items() if role in roles}
            slots.append((template[end : match.start()], dress(self._neutral[role]), of_genre))
            end = match.end()
        return [*slots, (template[end:], (), {})]


def _with_inflections(roles: Mapping[str, Words]) -> dict[str, Words]:
    """Return the words of each role, and their inflected forms as further roles."""
    forms = sample_words().inflections
    return {**roles, **{form: [inflect(word, form) for word in roles[forms[form]["of"]]] for form in forms}}


def dress_words(words: Words, article: str, case: Callable[[str], str]) -> Words:
    """Return words in a case, with the article, `a ` or `A ` or none; the sound decides its form, not the letter."""
    return [(article.replace(" ", "n ") if _TAKES_AN.match(word) else article) + case(word) for word in words]


class SampleMovie(NamedTuple):
    """One movie: its rows, each with the name of its file, and the names of its flaws."""

    rows: list[tuple[str, list[str]]]
    flaws: list[str]


def write_sample(folder: Path, n_movies: int, seed: int) -> dict[str, Any]:
    """Write the 16 files of a sample into a folder, row by row; return its counts, with the movies of each flaw."""
    rows_by_file: Counter[str] = Counter(dict.fromkeys(GENRE_FILES.values(), 0))
    flaws: Counter[str] = Counter()
    progress = Progress("sample", n_movies)
    with ExitStack() as stack:
        writers = {}
        for name in rows_by_file:
            file = stack.enter_context((folder / name).open("w", encoding="utf-8", newline=""))
            writers[name] = csv.writer(file, lineterminator="\n")
            writers[name].writerow(RAW_COLUMNS)
        for movie in generate_movies(n_movies, seed):
            for name, row in movie.rows:
                writers[name].writerow(row)
                rows_by_file[name] += 1
            flaws.update(movie.flaws)
            progress.advance()
    progress.finish()
    counts = {"movies": n_movies, "rows": rows_by_file.total(), "rows_by_file": dict(rows_by_file)}
    return {**counts, "flaws": dict(sorted(flaws.items()))}


def generate_movies(n_movies: int, seed: int) -> Iterator[SampleMovie]:
    """Yield invented movies one by one; a larger sample starts with the same movies as a smaller one."""
    return map(_MovieMaker(seed).make, range(n_movies))


def _uniforms(seed: int) -> Iterator[float]:
    """Yield numbers in [0, 1) forever, drawn in blocks: far faster than a generator call for each."""
    generator = np.random.default_rng(seed)
    while True:
        yield from generator.random(BLOCK).tolist()


class _MovieMaker(PlotWriter):
    def __init__(self, seed: int) -> None:
        super().__init__(_uniforms(seed).__next__)
        words = self._words
        self._genre_sets = GenreSets()
        self._people = {}
        for role, people in words.people.items():
            ids = [people["first_id"] + 37 * number for number in range(people["a_genre"] * len(GENRES))]
            self._people[role] = [(self.name(), f"/name/nm{person_id}/") for person_id in ids]
        self._kinds = (*words.description_flaws, "plain")
        self._kind_bounds = list(accumulate(words.description_flaws.values()))
        self._genre_flaw_bounds = list(accumulate(words.row_flaws[flaw] for flaw in ("empty_genre", "excluded_genre")))
        self._tails = [tail for tail, weight in words.tails.items() for _ in range(weight)]
        self._last_plain: str | None = None

    def make(self, index: int) -> SampleMovie:
        genres = self._genre_sets.draw(self._uniform)
        kind, description = self._describe(genres)
        values = {
            "movie_id": f"tt{index * ID_STEP % ID_PRIME + 1:07d}",
            "movie_name": self.title(genres) if self._uniform() >= self._words.row_flaws["empty_name"] else "",
            "genre": ", ".join(genres),
            "description": description,
            **self._fields(genres),
        }
        genre_flaw = ("empty_genre", "excluded_genre", "plain")[bisect(self._genre_flaw_bounds, self._uniform())]
        if genre_flaw == "empty_genre":
            values["genre"] = ""
        elif genre_flaw == "excluded_genre":
            values["genre"] += f", {pick(self._uniform, EXCLUDED_GENRES)}"
        rows = {genre: values.copy() for genre in genres if genre in GENRE_FILES}
        flaws = [flaw for flaw in (kind, genre_flaw) if flaw != "plain"]
        flaws += [f"empty_{column}" for column in ("movie_name", *self._words.empty_fields) if not values[column]]
        found = {
            "newline_in_director": "\n" in values["director"],
            "newline_in_star": "\n" in values["star"],
            "comma_in_runtime": "," in values["runtime"],
            "roman_year": values["year"].isalpha(),
            "accented_name": not (values["movie_name"] + values["director"] + values["star"]).isascii(),
        }
        flaws += [flaw for flaw in found if found[flaw]]
        if len(rows) > 1:
            flaws += self._vary(rows, genres, is_plain=kind == genre_flaw == "plain")
        listed = [(GENRE_FILES[genre], [row[column] for column in RAW_COLUMNS]) for genre, row in rows.items()]
        return SampleMovie(listed, flaws)

    def _describe(self, genres: Sequence[str]) -> tuple[str, str]:
        words = self._words
        kind = self._kinds[bisect(self._kind_bounds, self._uniform())]
        if kind in words.descriptions:
            return kind, self._phrase(words.descriptions[kind])
        if kind == "repeated_description" and self._last_plain:
            return kind, self._last_plain
        n_sentences = words.n_sentences_cut if kind == "see_full_summary" else pick(self._uniform, words.n_sentences)
        text = " ".join(self.plot(genres, n_sentences))
        if kind == "see_full_summary":  # cut between two words
            text = text[: words.cut_at].rsplit(" ", 1)[0] + pick(self._uniform, self._tails)
        elif kind == "author_signature":
            text += self._phrase(words.signatures)
        elif kind == "em_dash_inside":
            *start, rest = text.split(" ", 3)
            text = f"{' '.join(start)}—{rest}"
        elif kind == "html_entity":
            plain = next(plain for plain in words.html_entities if plain in text)
            text = text.replace(plain, words.html_entities[plain])
        else:
            kind, self._last_plain = "plain", text
        return kind, text

    def _fields(self, genres: Sequence[str]) -> dict[str, str]:
        """Return all fields but id, title, genres and description by column, a little depending on genres."""
        chance, words = self._uniform, self._words
        fields = dict.fromkeys(("year", "certificate", "runtime", "rating", "votes", "gross(in $)"), "")
        fields |= self._cast("director", genres) | self._cast("star", genres)

        def is_empty(column: str) -> bool:
            return bool(chance() < words.empty_fields[column])

        def deviate(width: float) -> float:  # triangularly distributed
            return (chance() + chance() - 1) * width

        if not is_empty("year"):
            if chance() < words.roman_year:
                fields["year"] = pick(chance, words.roman_years)
            else:
                first, last = _of_first(words.years, genres)
                fields["year"] = str(first + int((last + 1 - first) * chance() ** words.recent))
        if not is_empty("certificate"):
            fields["certificate"] = pick(chance, _of_first(words.certificates, genres))
        if not is_empty("runtime"):
            is_long = chance() < words.long_runtime
            minutes = 1000 + chance() * 4000 if is_long else _of_first(words.runtimes_min, genres) + deviate(45)
            fields["runtime"] = f"{int(minutes):,} min"
        if not is_empty("rating"):
            fields["rating"] = f"{min(10, max(1, _of_first(words.ratings, genres) + deviate(2.5))):.1f}"
            fields["votes"] = f"{int(4 + 10 ** (6 * chance() ** 1.5))}.0"
        if not is_empty("gross(in $)"):
            fields["gross(in $)"] = f"{int(10 ** (3 + 5.5 * chance()))}.0"
        return fields

    def _cast(self, role: str, genres: Sequence[str]) -> dict[str, str]:
        """Return the two columns of a role: names and ids; some people are drawn often."""
        chance, words, everybody = self._uniform, self._words, self._people[role]
        if chance() < words.empty_fields[role]:
            return {role: "", f"{role}_id": ""}
        a_genre, people = words.people[role]["a_genre"], {}
        for _ in range(pick(chance, words.people[role]["numbers"])):
            home = GENRES.index(genres[0]) if chance() < words.at_home else int(chance() * len(GENRES))
            name, person_id = everybody[home * a_genre + int(chance() ** 2 * a_genre)]
            people[name] = person_id
        return {role: ", \n".join(people), f"{role}_id": ",".join(people.values())}

    def _vary(self, rows: dict[str, dict[str, str]], genres: Sequence[str], *, is_plain: bool) -> Iterator[str]:
        """Change one row of a few movies, so that their files disagree; yield what was changed."""
        listed_under, rates = tuple(rows), self._words.different
        if self._uniform() < rates["genres"] and is_plain:
            genre = pick(self._uniform, listed_under)
            lost = pick(self._uniform, [other for other in genres if other != genre])
            rows[genre]["genre"] = ", ".join(other for other in genres if other != lost)
            yield "different_genres"
        if self._uniform() < rates["description"] and is_plain:
            placeholder = self._words.descriptions["add_a_plot"][0]
            other = placeholder if self._uniform() < 0.5 else self.plot(genres, 1)[0]
            rows[pick(self._uniform, listed_under)]["description"] = other
            yield "different_description"
        if self._uniform() < rates["name"] and is_plain:
            rows[pick(self._uniform, listed_under)]["movie_name"] += " - The Movie"
            yield "different_name"

    def _phrase(self, phrases: Sequence[str]) -> str:
        phrase = pick(self._uniform, phrases)
        name, year = self.name(), str(1940 + int(self._uniform() * 84))
        return phrase.replace("{name}", name).replace("{year}", year)


def _of_first(table: Mapping[str, Any], genres: Sequence[str]) -> Any:
    return next((value for genre, value in table.items() if genre in genres), table["default"])
