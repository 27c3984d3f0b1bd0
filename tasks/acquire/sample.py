"""The embedded sample: any number of invented movies in the form of the real set. Owns the order of the making.

A generator and not a file of rows, so that the pipeline runs anywhere, at any size, without a row that is not ours.
Same size, same seed: same bytes. Words, genres, fields and dirt each have their own module.
"""

import csv
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np

from tasks.acquire import sample_dirt as dirt
from tasks.acquire.sample_fields import FieldWriter
from tasks.acquire.sample_genres import GENRE_FILES, GenreSets
from tasks.acquire.sample_text import PlotWriter
from tasks.progress import Progress
from tasks.schema import EXCLUDED_GENRES, RAW_COLUMNS

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
