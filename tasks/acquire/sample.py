"""The embedded sample: any number of invented movies in the form of the real listings.

Generated, not stored, so that the pipeline runs anywhere, at any size, without third-party rows. The same size and seed
give the same bytes.
"""

import csv
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate, combinations
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.acquire.sample_text import PlotWriter, Uniform, cut, escape, pick, put_dash_inside, sample_words
from tasks.core.logs import Progress
from tasks.core.schema import EXCLUDED_GENRES, GENRES, RAW_COLUMNS

# The genre of each file of the real set. There is none for Comedy, Drama, Music, Musical and Western.
GENRE_FILES: Final = {
    genre: f"{genre.lower()}.csv" for genre in GENRES if genre not in {"Comedy", "Drama", "Music", "Musical", "Western"}
} | {"Sci-Fi": "scifi.csv", "Sport": "sports.csv"}

SINGLE_GENRE_SHARE: Final = 0.2
MOST_GENRES: Final = 3  # a listing names three at most
RECENT: Final = 0.5  # exponent below 1: more new movies than old ones
AT_HOME: Final = 0.6  # the probability that a person works in their own genre
DIRECTORS_A_GENRE: Final = 60
STARS_A_GENRE: Final = 200
LONG_RUNTIME: Final = 0.002
ROMAN_YEAR: Final = 0.01  # "II", the number of movies with the same name, in place of the year
N_DIRECTORS: Final = (1, 1, 1, 1, 1, 1, 1, 2, 2, 3)
N_STARS: Final = (1, 2, 3, 4, 4, 4, 4, 4)
N_SENTENCES: Final = (1, 2, 2, 2, 2, 2, 3, 3, 3, 3)
LONG_PLOT: Final = 5  # sentences; nearly always more than a listing shows
BLOCK: Final = 1 << 16  # random numbers drawn at a time
ID_STEP, ID_PRIME = 48_271, 9_999_991  # steps through every id below the prime once
EMPTY_COLUMNS: Final = ("movie_name", "year", "certificate", "runtime", "rating", "director", "star", "gross(in $)")
_Option = TypeVar("_Option")


class GenreSets:
    """Every set of one to three genres that some file lists, with its probability."""

    def __init__(self) -> None:
        sizes = range(1, MOST_GENRES + 1)
        every_set = [genres for size in sizes for genres in combinations(GENRES, size)]
        self.sets = [genres for genres in every_set if not GENRE_FILES.keys().isdisjoint(genres)]
        self.probabilities = _fit_probabilities(self.sets)
        self._bounds = np.cumsum(self.probabilities)[:-1].tolist()

    def draw(self, uniform: Uniform) -> tuple[str, ...]:
        """Return a random genre set, sorted, from one number in [0, 1)."""
        return self.sets[bisect(self._bounds, uniform())]


def _fit_probabilities(sets: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """Return the probability of each set: affinities, fitted so that every genre and every size has its share.

    Source: iterative proportional fitting, W. E. Deming and F. F. Stephan, "On a least squares adjustment of a sampled
    frequency table when the expected marginal totals are known", Annals of Mathematical Statistics 11 (1940).
    """
    shares, affinities = sample_words().genre_shares, sample_words().affinities
    largest = sum(shares.values()) - 2 + SINGLE_GENRE_SHARE
    size_shares = {1: SINGLE_GENRE_SHARE, 2: 1 - SINGLE_GENRE_SHARE - largest, 3: largest}
    margins = [(np.array([genre in genres for genres in sets]), share) for genre, share in shares.items()]
    margins += [(np.array([len(genres) == size for genres in sets]), share) for size, share in size_shares.items()]
    pairs = [combinations(genres, 2) for genres in sets]
    weights = np.array([prod(affinities.get(a, {}).get(b, 1.0) for a, b in of_set) for of_set in pairs], dtype=float)
    for _ in range(50):
        for has, share in margins:
            inside = weights[has].sum()
            weights *= np.where(has, share / inside, (1 - share) / (weights.sum() - inside))
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


class FieldWriter:
    """Writes all fields but id, title, genres and description, a little depending on genres, from a random stream."""

    def __init__(self, uniform: Uniform, plots: PlotWriter) -> None:
        self._uniform = uniform
        self._words = sample_words()
        n_directors, n_stars = DIRECTORS_A_GENRE * len(GENRES), STARS_A_GENRE * len(GENRES)
        self._people = {
            "director": [(plots.name(), f"/name/nm{1_000_000 + 37 * number}/") for number in range(n_directors)],
            "star": [(plots.name(), f"/name/nm{2_000_000 + 37 * number}/") for number in range(n_stars)],
        }

    def fields(self, genres: Sequence[str]) -> dict[str, str]:
        """Return the fields by column; an empty one is an empty string."""
        chance, words = self._uniform, self._words
        fields = dict.fromkeys(("year", "certificate", "runtime", "rating", "votes", "gross(in $)"), "")
        fields |= self._cast("director", genres, N_DIRECTORS) | self._cast("star", genres, N_STARS)
        if chance() >= words.empty_fields["year"]:
            fields["year"] = self._year(genres)
        if chance() >= words.empty_fields["certificate"]:
            fields["certificate"] = pick(chance, _of_first(words.certificates, genres))
        if chance() >= words.empty_fields["runtime"]:
            if chance() < LONG_RUNTIME:
                minutes = 1000 + int(chance() * 4000)
            else:
                minutes = int(_of_first(words.runtimes_min, genres) + self._deviate(45))
            fields["runtime"] = f"{minutes:,} min"
        if chance() >= words.empty_fields["rating"]:
            fields["rating"] = f"{min(10, max(1, _of_first(words.ratings, genres) + self._deviate(2.5))):.1f}"
            fields["votes"] = f"{int(4 + 10 ** (6 * chance() ** 1.5))}.0"
        if chance() >= words.empty_fields["gross(in $)"]:
            fields["gross(in $)"] = f"{int(10 ** (3 + 5.5 * chance()))}.0"
        return fields

    def _year(self, genres: Sequence[str]) -> str:
        if self._uniform() < ROMAN_YEAR:
            return pick(self._uniform, ("I", "I", "I", "II", "II", "III"))
        first, last = _of_first(self._words.years, genres)
        return str(first + int((last + 1 - first) * self._uniform() ** RECENT))

    def _cast(self, role: str, genres: Sequence[str], numbers: Sequence[int]) -> dict[str, str]:
        """Return the two columns of a role: names and ids, as many as one of the numbers."""
        if self._uniform() < self._words.empty_fields[role]:
            return {role: "", f"{role}_id": ""}
        people = dict(self._person(self._people[role], genres) for _ in range(pick(self._uniform, numbers)))
        return {role: ", \n".join(people), f"{role}_id": ",".join(people.values())}

    def _person(self, people: Sequence[tuple[str, str]], genres: Sequence[str]) -> tuple[str, str]:
        """Return the name and id of a person; some are drawn often."""
        a_genre = len(people) // len(GENRES)
        at_home = self._uniform() < AT_HOME
        home = GENRES.index(genres[0]) if at_home else int(self._uniform() * len(GENRES))
        return people[home * a_genre + int(self._uniform() ** 2 * a_genre)]

    def _deviate(self, width: float) -> float:
        """Return a number around 0, between -width and width, triangularly distributed."""
        return (self._uniform() + self._uniform() - 1) * width


def _of_first(table: Mapping[str, _Option], genres: Sequence[str]) -> _Option:
    return next((value for genre, value in table.items() if genre in genres), table["default"])


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
    maker = _MovieMaker(seed)
    return map(maker.make, range(n_movies))


def _uniforms(seed: int) -> Iterator[float]:
    """Yield numbers in [0, 1) forever, drawn in blocks: far faster than a generator call for each."""
    generator = np.random.default_rng(seed)
    while True:
        yield from generator.random(BLOCK).tolist()


class _MovieMaker:
    def __init__(self, seed: int) -> None:
        self._uniform = _uniforms(seed).__next__
        self._words = words = sample_words()
        self._genre_sets = GenreSets()
        self._plots = PlotWriter(self._uniform)
        self._fields = FieldWriter(self._uniform, self._plots)
        self._kinds = (*words.description_flaws, "plain")
        self._kind_bounds = list(accumulate(words.description_flaws.values()))
        self._tails = [tail for tail, weight in words.tails.items() for _ in range(weight)]
        self._last_plain: str | None = None

    def make(self, index: int) -> SampleMovie:
        genres = self._genre_sets.draw(self._uniform)
        kind, description = self._describe(genres)
        values = {
            "movie_id": f"tt{index * ID_STEP % ID_PRIME + 1:07d}",
            "movie_name": self._plots.title(genres) if self._uniform() >= self._words.row_flaws["empty_name"] else "",
            "genre": ", ".join(genres),
            "description": description,
            **self._fields.fields(genres),
        }
        genre_flaw = self._spoil_genre(values)
        rows = {genre: values.copy() for genre in genres if genre in GENRE_FILES}
        flaws = [flaw for flaw in (kind, genre_flaw) if flaw != "plain"] + _field_flaws(values)
        if len(rows) > 1:
            flaws += self._vary(rows, genres, is_plain=kind == genre_flaw == "plain")
        listed = [(GENRE_FILES[genre], [row[column] for column in RAW_COLUMNS]) for genre, row in rows.items()]
        return SampleMovie(listed, flaws)

    def _describe(self, genres: Sequence[str]) -> tuple[str, str]:
        """Return the kind of a movie's description, and the description."""
        kind = self._kinds[bisect(self._kind_bounds, self._uniform())]
        if kind in self._words.descriptions:
            return kind, self._phrase(self._words.descriptions[kind])
        if kind == "repeated_description" and self._last_plain:
            return kind, self._last_plain
        n_sentences = LONG_PLOT if kind == "see_full_summary" else pick(self._uniform, N_SENTENCES)
        text = " ".join(self._plots.plot(genres, n_sentences))
        if kind == "see_full_summary":
            text = cut(text, pick(self._uniform, self._tails))
        elif kind == "author_signature":
            text += self._phrase(self._words.signatures)
        elif kind == "em_dash_inside":
            text = put_dash_inside(text)
        elif kind == "html_entity":
            text = escape(text)
        else:
            kind, self._last_plain = "plain", text
        return kind, text

    def _spoil_genre(self, values: dict[str, str]) -> str:
        """Change the genres of a few movies in all their rows; return what was done, or "plain"."""
        chance, rates = self._uniform(), self._words.row_flaws
        if chance < rates["empty_genre"]:
            values["genre"] = ""
            return "empty_genre"
        if chance < rates["empty_genre"] + rates["excluded_genre"]:
            values["genre"] += f", {pick(self._uniform, EXCLUDED_GENRES)}"
            return "excluded_genre"
        return "plain"

    def _vary(self, rows: dict[str, dict[str, str]], genres: Sequence[str], *, is_plain: bool) -> list[str]:
        """Change one row of a few movies, so that their files disagree; return what was changed."""
        flaws = []
        listed_under, rates = tuple(rows), self._words.different
        if self._uniform() < rates["genres"] and is_plain:
            genre = pick(self._uniform, listed_under)
            lost = pick(self._uniform, [other for other in genres if other != genre])
            rows[genre]["genre"] = ", ".join(other for other in genres if other != lost)
            flaws.append("different_genres")
        if self._uniform() < rates["description"] and is_plain:
            placeholder = self._words.descriptions["add_a_plot"][0]
            other = placeholder if self._uniform() < 0.5 else self._plots.plot(genres, 1)[0]
            rows[pick(self._uniform, listed_under)]["description"] = other
            flaws.append("different_description")
        if self._uniform() < rates["name"] and is_plain:
            rows[pick(self._uniform, listed_under)]["movie_name"] += " - The Movie"
            flaws.append("different_name")
        return flaws

    def _phrase(self, phrases: Sequence[str]) -> str:
        phrase = pick(self._uniform, phrases)
        name, year = self._plots.name(), str(1940 + int(self._uniform() * 84))
        return phrase.replace("{name}", name).replace("{year}", year)


def _field_flaws(values: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a movie's fields other than genres and description."""
    flaws = {f"empty_{column}": not values[column] for column in EMPTY_COLUMNS} | {
        "newline_in_director": "\n" in values["director"],
        "newline_in_star": "\n" in values["star"],
        "comma_in_runtime": "," in values["runtime"],
        "roman_year": values["year"].isalpha(),
        "accented_name": not (values["movie_name"] + values["director"] + values["star"]).isascii(),
    }
    return [flaw for flaw, found in flaws.items() if found]
