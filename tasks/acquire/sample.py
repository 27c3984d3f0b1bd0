"""The embedded sample: any number of invented movies in the form of the real set. Owns the order of the making.

A generator and not a file of rows, so that the pipeline runs anywhere, at any size, without a row that is not ours.
Same size, same seed: same bytes. Words, genres, fields and dirt each have their own module.
"""

import csv
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.acquire import sample_text as dirt
from tasks.acquire.sample_text import PlotWriter
from tasks.core.logs import Progress
from tasks.core.schema import EXCLUDED_GENRES, GENRES, RAW_COLUMNS

# The genre of each file of the real set. There is none for Comedy, Drama, Music, Musical and Western.
GENRE_FILES: Final = {
    "Action": "action.csv",
    "Adventure": "adventure.csv",
    "Animation": "animation.csv",
    "Biography": "biography.csv",
    "Crime": "crime.csv",
    "Family": "family.csv",
    "Fantasy": "fantasy.csv",
    "Film-Noir": "film-noir.csv",
    "History": "history.csv",
    "Horror": "horror.csv",
    "Mystery": "mystery.csv",
    "Romance": "romance.csv",
    "Sci-Fi": "scifi.csv",
    "Sport": "sports.csv",
    "Thriller": "thriller.csv",
    "War": "war.csv",
}

# The share of movies that have the genre; together 2.3 genres a movie, as in the real set.
GENRE_SHARES: Final = {
    "Action": 0.20, "Adventure": 0.16, "Animation": 0.11, "Biography": 0.07, "Comedy": 0.20, "Crime": 0.15,
    "Drama": 0.50, "Family": 0.10, "Fantasy": 0.09, "Film-Noir": 0.012, "History": 0.075, "Horror": 0.12,
    "Music": 0.03, "Musical": 0.012, "Mystery": 0.06, "Romance": 0.14, "Sci-Fi": 0.065, "Sport": 0.04,
    "Thriller": 0.15, "War": 0.035, "Western": 0.005,
}  # fmt: skip
SINGLE_GENRE_SHARE: Final = 0.2
MOST_GENRES: Final = 3  # a listing names three at most

# How much more (or less) often two genres meet than chance would have it.
AFFINITIES: Final = {
    ("Action", "Adventure"): 2.5, ("Action", "Animation"): 1.5, ("Action", "Crime"): 3, ("Action", "Romance"): 0.4,
    ("Action", "Sci-Fi"): 2.5, ("Action", "Thriller"): 2, ("Action", "War"): 2, ("Action", "Western"): 3,
    ("Adventure", "Animation"): 3, ("Adventure", "Family"): 2.5, ("Adventure", "Fantasy"): 2.5,
    ("Adventure", "Western"): 2, ("Animation", "Comedy"): 2, ("Animation", "Family"): 4, ("Animation", "Film-Noir"): 0,
    ("Animation", "Horror"): 0.2, ("Animation", "Thriller"): 0.2, ("Biography", "Drama"): 2.5,
    ("Biography", "Fantasy"): 0.1, ("Biography", "History"): 5, ("Biography", "Horror"): 0.1, ("Biography", "Music"): 4,
    ("Biography", "Sci-Fi"): 0.05, ("Biography", "Sport"): 4, ("Biography", "War"): 2, ("Comedy", "Family"): 2,
    ("Comedy", "Horror"): 0.6, ("Comedy", "Musical"): 3, ("Comedy", "Romance"): 3, ("Comedy", "War"): 0.3,
    ("Crime", "Drama"): 1.5, ("Crime", "Family"): 0.1, ("Crime", "Film-Noir"): 10, ("Crime", "Mystery"): 3,
    ("Crime", "Thriller"): 3, ("Drama", "Film-Noir"): 2, ("Drama", "History"): 2, ("Drama", "Romance"): 2.5,
    ("Drama", "War"): 2.5, ("Family", "Fantasy"): 2, ("Family", "Film-Noir"): 0, ("Family", "Horror"): 0.05,
    ("Family", "Thriller"): 0.05, ("Fantasy", "Film-Noir"): 0, ("Fantasy", "Horror"): 1.5, ("Film-Noir", "Mystery"): 4,
    ("Film-Noir", "Sci-Fi"): 0, ("Film-Noir", "Sport"): 0.1, ("Film-Noir", "Thriller"): 3, ("History", "Sci-Fi"): 0.1,
    ("History", "War"): 7, ("Horror", "Mystery"): 3, ("Horror", "Romance"): 0.2, ("Horror", "Sci-Fi"): 2,
    ("Horror", "Sport"): 0.05, ("Horror", "Thriller"): 3, ("Music", "Romance"): 2, ("Musical", "Romance"): 3,
    ("Mystery", "Thriller"): 4, ("Sci-Fi", "Sport"): 0.1, ("Sci-Fi", "Western"): 0.3, ("Sport", "War"): 0.1,
}  # fmt: skip


class GenreSets:
    """Every set of one to three genres that some file lists, with its probability."""

    def __init__(self) -> None:
        self.sets = [
            genres
            for size in range(1, MOST_GENRES + 1)
            for genres in combinations(GENRES, size)
            if not GENRE_FILES.keys().isdisjoint(genres)
        ]
        self.probabilities = _fit_probabilities(self.sets)
        self._bounds = np.cumsum(self.probabilities)[:-1].tolist()

    def draw(self, uniform: Callable[[], float]) -> tuple[str, ...]:
        """Return a random genre set, sorted, from one number in [0, 1)."""
        return self.sets[bisect(self._bounds, uniform())]


def _fit_probabilities(sets: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """Return the probability of each set: affinities first, then fitted so that every share above is met.

    Source: iterative proportional fitting, W. E. Deming and F. F. Stephan, "On a least squares adjustment of a sampled
    frequency table when the expected marginal totals are known", Annals of Mathematical Statistics 11 (1940).
    """
    mean_size = sum(GENRE_SHARES.values())
    largest = mean_size - 2 + SINGLE_GENRE_SHARE
    size_shares = {1: SINGLE_GENRE_SHARE, 2: 1 - SINGLE_GENRE_SHARE - largest, 3: largest}
    margins = [(np.array([genre in genres for genres in sets]), share) for genre, share in GENRE_SHARES.items()]
    margins += [(np.array([len(genres) == size for genres in sets]), share) for size, share in size_shares.items()]
    weights: NDArray[np.float64] = np.array([_affinity(genres) for genres in sets])
    for _ in range(50):
        for has, share in margins:
            inside = weights[has].sum()
            weights *= np.where(has, share / inside, (1 - share) / (weights.sum() - inside))
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def _affinity(genres: tuple[str, ...]) -> float:
    product = 1.0
    for pair in combinations(genres, 2):
        product *= AFFINITIES.get((pair[0], pair[1]), 1.0)
    return product


# Year, certificate, runtime, people and figures of the sample's movies. Owns how they go with genres; knows no text.
#
# The ties are loose: each field says a little about the genres, as in the real set, and none of them much.


# First and last year; the first of a movie's genres in this order decides, otherwise the last line does.
YEARS: Final = {
    "Film-Noir": (1941, 1959), "Western": (1930, 1978), "Musical": (1930, 1975), "War": (1940, 2022),
    "Sci-Fi": (1965, 2023), "Horror": (1960, 2023), "Animation": (1955, 2023), "": (1925, 2023),
}  # fmt: skip
RECENT: Final = 0.5  # exponent below 1: more movies of late than of old
CERTIFICATES: Final = {
    "Film-Noir": ("Approved", "Passed", "Not Rated"), "Western": ("Approved", "Passed", "TV-PG", "PG"),
    "Horror": ("R", "R", "TV-MA", "Not Rated", "Unrated"), "Animation": ("G", "PG", "TV-Y7", "TV-PG", "U"),
    "Family": ("G", "PG", "PG", "TV-G", "U"), "Crime": ("R", "R", "TV-MA", "Not Rated", "TV-14"),
    "": ("Not Rated", "Not Rated", "R", "PG", "PG-13", "TV-14", "UA", "Approved"),
}  # fmt: skip
RUNTIMES_MIN: Final = {
    "Animation": 74, "Film-Noir": 79, "Western": 84, "Horror": 89, "Family": 91, "Sci-Fi": 96, "History": 118,
    "Biography": 108, "": 98,
}  # fmt: skip
RATINGS: Final = {"Horror": 5.1, "Sci-Fi": 5.6, "Biography": 7.0, "History": 6.9, "Film-Noir": 6.8, "": 6.2}
AT_HOME: Final = 0.6  # the probability that a person works in the first genre of his or her own
DIRECTORS_A_GENRE: Final = 60
STARS_A_GENRE: Final = 200

# The share of movies whose field is empty, as in the real set.
EMPTY_FIELDS: Final = {
    "year": 0.14, "certificate": 0.76, "runtime": 0.30, "rating": 0.44, "director": 0.11, "star": 0.26,
    "gross(in $)": 0.93,
}  # fmt: skip
LONG_RUNTIME: Final = 0.002
ROMAN_YEAR: Final = 0.01  # "II" where a page tells namesakes apart and gives no year
N_DIRECTORS: Final = (1, 1, 1, 1, 1, 1, 1, 2, 2, 3)
N_STARS: Final = (1, 2, 3, 4, 4, 4, 4, 4)
GENRE_NUMBERS: Final[dict[str, int]] = {genre: number for number, genre in enumerate(GENRES)}


_Option = TypeVar("_Option")


class FieldWriter:
    """Writes every field but id, title, genres and description, with randomness from the stream that it is given."""

    def __init__(self, uniform: Callable[[], float], name: Callable[[], str]) -> None:
        self._uniform = uniform
        self._people = {
            "director": [(name(), f"/name/nm{1_000_000 + 37 * n}/") for n in range(DIRECTORS_A_GENRE * len(GENRES))],
            "star": [(name(), f"/name/nm{2_000_000 + 37 * n}/") for n in range(STARS_A_GENRE * len(GENRES))],
        }

    def fields(self, genres: Sequence[str]) -> dict[str, str]:
        """Return the fields by their column's name; an empty one is an empty string."""
        chance = self._uniform
        fields = dict.fromkeys(("year", "certificate", "runtime", "rating", "votes", "gross(in $)"), "")
        fields |= self._cast("director", genres, N_DIRECTORS) | self._cast("star", genres, N_STARS)
        if chance() >= EMPTY_FIELDS["year"]:
            fields["year"] = self._year(genres)
        if chance() >= EMPTY_FIELDS["certificate"]:
            fields["certificate"] = self._pick(_of_first(CERTIFICATES, genres))
        if chance() >= EMPTY_FIELDS["runtime"]:
            fields["runtime"] = f"{self._runtime_min(genres):,} min"
        if chance() >= EMPTY_FIELDS["rating"]:
            fields["rating"] = f"{min(10, max(1, _of_first(RATINGS, genres) + self._spread(2.5))):.1f}"
            fields["votes"] = f"{int(4 + 10 ** (6 * chance() ** 1.5))}.0"
        if chance() >= EMPTY_FIELDS["gross(in $)"]:
            fields["gross(in $)"] = f"{int(10 ** (3 + 5.5 * chance()))}.0"
        return fields

    def _year(self, genres: Sequence[str]) -> str:
        if self._uniform() < ROMAN_YEAR:
            return self._pick(("I", "I", "I", "II", "II", "III"))
        first, last = _of_first(YEARS, genres)
        return str(first + int((last + 1 - first) * self._uniform() ** RECENT))

    def _runtime_min(self, genres: Sequence[str]) -> int:
        if self._uniform() < LONG_RUNTIME:
            return 1000 + int(self._uniform() * 4000)
        return int(_of_first(RUNTIMES_MIN, genres) + self._spread(45))

    def _cast(self, role: str, genres: Sequence[str], numbers: Sequence[int]) -> dict[str, str]:
        """Return names and ids of as many people as one of the numbers says, in the two columns of a role."""
        if self._uniform() < EMPTY_FIELDS[role]:
            return {role: "", f"{role}_id": ""}
        people = dict(self._person(self._people[role], genres) for _ in range(self._pick(numbers)))
        return {role: ", \n".join(people), f"{role}_id": ",".join(people.values())}

    def _person(self, people: Sequence[tuple[str, str]], genres: Sequence[str]) -> tuple[str, str]:
        """Return the name and id of a person; some come up often."""
        a_genre = len(people) // len(GENRES)
        at_home = self._uniform() < AT_HOME
        home = GENRE_NUMBERS[genres[0]] if at_home else int(self._uniform() * len(GENRES))
        return people[home * a_genre + int(self._uniform() ** 2 * a_genre)]

    def _pick(self, options: Sequence[_Option]) -> _Option:
        return options[int(self._uniform() * len(options))]

    def _spread(self, width: float) -> float:
        """Return a number around 0, between -width and width, bell-shaped."""
        return (self._uniform() + self._uniform() - 1) * width


def _of_first(table: Mapping[str, _Option], genres: Sequence[str]) -> _Option:
    """Return the entry of the first genre in a table that the movie has, or the one of no genre."""
    return next((value for genre, value in table.items() if genre in genres), table[""])


BLOCK: Final = 1 << 16  # random numbers drawn at a time
ID_STEP, ID_PRIME = 48_271, 9_999_991  # steps through every id below the prime once
EMPTY_COLUMNS: Final = ("movie_name", "year", "certificate", "runtime", "rating", "director", "star", "gross(in $)")
N_SENTENCES: Final = (1, 2, 2, 2, 2, 2, 3, 3, 3, 3)
LONG_PLOT: Final = 5  # sentences; nearly always more than a listing shows


@dataclass(frozen=True)
class SampleMovie:
    """One movie: its rows, each with the name of the file that it stands in, and the names of what is wrong with it."""

    rows: list[tuple[str, list[str]]]
    flaws: list[str]


def write_sample(folder: Path, n_movies: int, seed: int) -> dict[str, Any]:
    """Write the 16 files of a sample into a folder, row by row, and return what it made.

    Returns:
        `movies`, `rows`, `rows_by_file`, and `flaws`: for each kind of dirt the number of movies that have it.
    """
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
    return {
        "movies": n_movies,
        "rows": rows_by_file.total(),
        "rows_by_file": dict(rows_by_file),
        "flaws": dict(sorted(flaws.items())),
    }


def generate_movies(n_movies: int, seed: int) -> Iterator[SampleMovie]:
    """Yield invented movies one by one; nothing is kept. The first ones are the same whatever their number."""
    maker = _MovieMaker(seed)
    for index in range(n_movies):
        yield maker.make(index)


def _uniforms(seed: int) -> Iterator[float]:
    """Yield numbers in [0, 1) for ever. Drawn by the block, one costs far less than a call of a generator's method."""
    generator = np.random.default_rng(seed)
    while True:
        yield from generator.random(BLOCK).tolist()


class _MovieMaker:
    def __init__(self, seed: int) -> None:
        self._uniform = _uniforms(seed).__next__
        self._genre_sets = GenreSets()
        self._plots = PlotWriter(self._uniform)
        self._fields = FieldWriter(self._uniform, self._plots.name)
        self._kinds = (*dirt.DESCRIPTION_KINDS, "plain")
        self._kind_bounds = list(accumulate(dirt.DESCRIPTION_KINDS.values()))
        self._last_plain: str | None = None

    def make(self, index: int) -> SampleMovie:
        genres = self._genre_sets.draw(self._uniform)
        kind, description = self._describe(genres)
        values = {
            "movie_id": f"tt{index * ID_STEP % ID_PRIME + 1:07d}",
            "movie_name": self._plots.title(genres) if self._uniform() >= dirt.EMPTY_NAME else "",
            "genre": ", ".join(genres),
            "description": description,
            **self._fields.fields(genres),
        }
        genre_flaw = self._spoil_genre(values)
        rows = {genre: values.copy() for genre in genres if genre in GENRE_FILES}
        flaws = [flaw for flaw in (kind, genre_flaw) if flaw != "plain"] + _field_flaws(values)
        if len(rows) > 1:
            flaws += self._vary(rows, genres, is_plain=kind == genre_flaw == "plain")
        return SampleMovie(
            [(GENRE_FILES[genre], [row[column] for column in RAW_COLUMNS]) for genre, row in rows.items()], flaws
        )

    def _describe(self, genres: Sequence[str]) -> tuple[str, str]:
        """Return the kind of a movie's description, and the description."""
        kind = self._kinds[bisect(self._kind_bounds, self._uniform())]
        if kind in dirt.PHRASES:
            return kind, self._phrase(dirt.PHRASES[kind])
        if kind == "repeated_description" and self._last_plain:
            return kind, self._last_plain
        n_sentences = LONG_PLOT if kind == "see_full_summary" else N_SENTENCES[int(self._uniform() * len(N_SENTENCES))]
        text = " ".join(self._plots.plot(genres, n_sentences))
        if kind == "see_full_summary":
            text = dirt.cut(text, self._pick(dirt.TAILS))
        elif kind == "author_signature":
            text += self._phrase(dirt.SIGNATURES)
        elif kind == "em_dash_inside":
            text = dirt.put_dash_inside(text)
        elif kind == "html_entity":
            text = dirt.escape(text)
        else:
            kind, self._last_plain = "plain", text
        return kind, text

    def _spoil_genre(self, values: dict[str, str]) -> str:
        """Change the genres of a few movies in all their rows; return what was done, or "plain"."""
        chance = self._uniform()
        if chance < dirt.EMPTY_GENRE:
            values["genre"] = ""
            return "empty_genre"
        if chance < dirt.EMPTY_GENRE + dirt.EXCLUDED_GENRE:
            values["genre"] += f", {self._pick(EXCLUDED_GENRES)}"
            return "excluded_genre"
        return "plain"

    def _vary(self, rows: dict[str, dict[str, str]], genres: Sequence[str], *, is_plain: bool) -> list[str]:
        """Change one row of a few movies, so that their files tell different things; return what was changed."""
        flaws = []
        listed_under = tuple(rows)
        if self._uniform() < dirt.OTHER_GENRES and is_plain:
            genre = self._pick(listed_under)
            lost = self._pick([other for other in genres if other != genre])
            rows[genre]["genre"] = ", ".join(other for other in genres if other != lost)
            flaws.append("different_genres")
        if self._uniform() < dirt.OTHER_DESCRIPTION and is_plain:
            other = dirt.ADD_A_PLOT if self._uniform() < 0.5 else self._plots.plot(genres, 1)[0]
            rows[self._pick(listed_under)]["description"] = other
            flaws.append("different_description")
        if self._uniform() < dirt.OTHER_NAME and is_plain:
            rows[self._pick(listed_under)]["movie_name"] += " - The Movie"
            flaws.append("different_name")
        return flaws

    def _phrase(self, phrases: Sequence[str]) -> str:
        phrase = self._pick(phrases)
        name, year = self._plots.name(), str(1940 + int(self._uniform() * 84))
        return phrase.replace("{name}", name).replace("{year}", year)

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self._uniform() * len(options))]


def _field_flaws(values: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a movie's fields other than genres and description."""
    flaws = [f"empty_{column}" for column in EMPTY_COLUMNS if not values[column]]
    if "\n" in values["director"]:
        flaws.append("newline_in_director")
    if "\n" in values["star"]:
        flaws.append("newline_in_star")
    if "," in values["runtime"]:
        flaws.append("comma_in_runtime")
    if values["year"].isalpha():
        flaws.append("roman_year")
    if not (values["movie_name"] + values["director"] + values["star"]).isascii():
        flaws.append("accented_name")
    return flaws
