"""Year, certificate, runtime, people and figures of the sample's movies. Owns how they go with genres; knows no text.

The ties are loose: each field says a little about the genres, as in the real set, and none of them much.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from tasks.schema import GENRES

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
