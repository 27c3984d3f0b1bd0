r"""The form of the data: column names, schemas and genres, and the parsing of raw fields, genre lists and plots.

A side field that cannot be parsed becomes null. Patterns are in the syntax of Rust's regex crate, which polars uses: no
look-around, and `\x{130}` for a code point.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NewType

import polars as pl
from polars import selectors as cs

from tasks.core.errors import DataError

MovieId = NewType("MovieId", str)

DEFAULT_SEED: Final = 42069
MAX_FIELD_BYTES: Final = 131_072  # of a text, as in a CSV: a small file may hold a gigabyte of the same text
DECIMALS: Final = 6  # of numbers in tables for people
MOVIE_ID_PATTERN: Final = r"^[A-Za-z0-9_.:-]+$"  # CoNLL-U sentence ids begin with it: no space or slash

# The 14 columns of the Kaggle set `rajugc/imdb-movies-dataset-based-on-genre`, in its order.
RAW_COLUMNS: Final = (
    "movie_id", "movie_name", "year", "certificate", "runtime", "genre", "rating", "description", "director",
    "director_id", "star", "star_id", "votes", "gross(in $)",
)  # fmt: skip
REQUIRED_RAW_COLUMNS: Final = ("movie_id", "movie_name", "genre", "description")

# The genres that are left after cleaning; the excluded ones are those of the earlier system.
GENRES: Final = (
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Drama", "Family", "Fantasy", "Film-Noir",
    "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi", "Sport", "Thriller", "War", "Western",
)  # fmt: skip
EXCLUDED_GENRES: Final = ("Reality-TV", "News", "Adult", "Talk-Show", "Game-Show", "Short")

# data/clean/movies.parquet, sorted by movie_id, one row per movie.
MOVIES: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "movie_name": pl.String(),
        "description": pl.String(),
        "genres": pl.List(pl.String()),  # sorted, never empty
        "description_source": pl.String(),  # "listing", "crawl" or "import"
        "is_truncated": pl.Boolean(),  # whether its source cut the description off
        "text_group": pl.String(),  # id of the first movie with the same or nearly the same text, often its own
        "year": pl.Int32(),
        "certificate": pl.String(),
        "runtime_min": pl.Int32(),
        "rating": pl.Float64(),
        "votes": pl.Int64(),
        "directors": pl.List(pl.String()),
        "stars": pl.List(pl.String()),
        "own_fields": pl.List(pl.String()),  # "name=value" of other columns of a user's own table
    }
)

# data/conllu/movies.parquet, in the order of data/clean/movies.parquet.
TOKENS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "genres": pl.List(pl.String()),
        "tokens": pl.List(pl.String()),  # forms of all sentences, in order
        "lemmas": pl.List(pl.String()),  # as many as tokens
        "n_sentences": pl.Int32(),
    }
)

# data/split/splits.parquet, in the order of data/clean/movies.parquet.
PARTS: Final = ("train", "validation", "test")
N_FOLDS: Final = 5
SPLITS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "part": pl.Enum(PARTS),
        "is_development": pl.Boolean(),  # a stratified tenth of train, for quick experiments
        "fold": pl.Int8(),  # 0 to N_FOLDS - 1, stratified within each part
    }
)

# data/models/<name>/predictions_test.parquet, in the order of the model's scores.
PREDICTIONS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "true_genres": pl.List(pl.String()),  # sorted
        "predicted_genres": pl.List(pl.String()),  # by the chosen decision rule, in genre order
        "jaccard": pl.Float64(),  # null for a movie without a true genre
    }
)

# data/results/exhibits.parquet: the test movies that the report shows, by role and rank.
ROLES: Final = ("good", "bad", "disagreement", "impossible", "doubtful")
EXHIBITS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "role": pl.String(),  # one of ROLES
        "rank": pl.Int64(),  # from 1 within a role, the best example first
    }
)

# data/models/<name>/explanations.parquet: what each piece of a movie adds to the log-odds of a genre. For a movie and
# genre, the contributions sum to value - base.
EXPLANATIONS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "genre": pl.String(),
        "method": pl.String(),  # "exact", "integrated-gradients", "shapley", or "mixed" of several
        "base": pl.Float64(),  # log-odds of the genre when nothing of the movie is known
        "value": pl.Float64(),  # log-odds of the score
        # "movie_name", "description", "director", "star", "certificate", "year", "runtime", the name of an own
        # field, or "rest" for what belongs to no piece
        "source": pl.String(),
        "start": pl.Int32(),  # of the piece in that text of the movie; null if it is not a span of it
        "end": pl.Int32(),  # the character after the last one
        "piece": pl.String(),  # the text; empty for the rest
        "contribution": pl.Float64(),  # log-odds
    }
)

# data/models/<name>/importance.parquet: the mean effect of features on a genre.
IMPORTANCE: Final = pl.Schema(
    {
        "genre": pl.String(),
        "kind": pl.String(),  # "word", "characters", "field"
        "feature": pl.String(),  # as people read it
        "weight": pl.Float64(),  # mean contribution, log-odds, over the movies that have it
        "movies": pl.Int64(),  # how many of the explained movies have it
    }
)


# The first year of a text; none if the text starts with a minus.
_YEAR: Final = r"(?s)^\s*(?:[^\s\-−].*?)??(?-u:\b)(1[89][0-9]{2}|2[01][0-9]{2})(?-u:\b)"
# Two patterns, the first of which matches nearly all: one for both takes several times as long.
_MINUTES: Final = r"^\s*([0-9][0-9,]*)\s*mins?\s*$"
_HOURS: Final = r"^\s*([0-9]{1,4})\s*h\s*(?:([0-9][0-9,]*)\s*mins?\s*)?$"


def year(raw: pl.Expr) -> pl.Expr:
    """Parse a year from 1800 to 2199 anywhere in a text; not in `-2000` or `I`, `II` ... (for movies of one name)."""
    return raw.str.extract(_YEAR).cast(pl.Int32)


def runtime_min(raw: pl.Expr) -> pl.Expr:
    """Parse minutes: `1,040 min` is 1040, `90 mins` is 90, and so is `1 h 30 min`; `0 min` is null."""
    hours = raw.str.extract(_HOURS, 1).cast(pl.Int32)
    minutes = _count(raw.str.extract(_HOURS, 2)).fill_null(0)
    total = pl.coalesce(_count(raw.str.extract(_MINUTES)), 60 * hours + minutes)
    return total.cast(pl.Int32, strict=False).replace(0, None)


def own(name: str, raw: pl.Expr) -> pl.Expr:
    """Write a column of a user's own table as `name=value` with single spaces; blank is null, `5.0` is `5`."""
    value = raw.str.replace_all(r"\s+", " ").str.strip_chars(" ").str.replace(r"^(-?[0-9]+)\.0+$", "$1")
    return pl.when(value != "").then(pl.concat_str(pl.lit(f"{name}="), value))


def as_text(kind: object, value: pl.Expr) -> pl.Expr:
    """Write a value of a polars type as text, as in most CSVs: a whole number without a fraction, NaN as null."""
    if kind not in (pl.Float32, pl.Float64):
        return value.cast(pl.String)
    is_whole = (value == value.round()) & (value.abs() < 2**53)  # beyond, not every whole number is a float
    text = pl.when(is_whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
    return pl.when(value.is_not_nan()).then(text)


def _count(digits: pl.Expr) -> pl.Expr:
    return digits.str.replace_all(",", "", literal=True).cast(pl.Int64, strict=False)


def certificate(raw: pl.Expr) -> pl.Expr:
    """Strip a certificate; a blank one is null."""
    return raw.str.strip_chars().replace("", None)


def people(raw: pl.Expr) -> pl.Expr:
    """Split names at a comma and line break, so that `Ann Other, Jr.` stays one name; null or no names is `[]`."""
    names = raw.str.split(r",\s*\n", literal=False).list.eval(pl.element().str.strip_chars())
    return names.list.filter(pl.element() != "").fill_null([])


_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_BEGINS_QUOTED: Final = re.compile(r"[\[({\s]*['\"]")  # other apostrophes are parts of names
_CONSTRUCTOR: Final = re.compile(r"^(?:array|frozenset|set)(?=\()")
_BIT: Final = r"[01](?:\.0?+)?+"
_ENCODED: Final = re.compile(rf"[\[(\s,]*+(?:{_BIT}[\s,]*+)++[\])]*+")  # possessive: one way to read a text


def check_lengths(rows: pl.DataFrame, where: str) -> None:
    """Raise a `DataError` if a text, or the texts of a list, are longer than a field of a CSV may be."""
    in_list = cs.list(cs.string()).list.eval(pl.element().str.len_bytes()).list.sum()
    lengths = rows.select(cs.string().str.len_bytes(), in_list).max()
    for name, longest in lengths.to_dicts()[0].items() if lengths.height else ():
        if longest is not None and longest > MAX_FIELD_BYTES:
            raise DataError(f"{where}: {name} has {longest:,} bytes; a field may have {MAX_FIELD_BYTES:,}. Shorten it.")


def parse_genres(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct genres that a text lists, sorted; none for an empty text.

    Accepts names separated by commas, with or without quotes and brackets (JSON, and printed Python lists, tuples, sets
    and arrays), or one 0 or 1 per genre in the order of `names`, as label encoders give; else a `ValueError`.

    >>> parse_genres("['Sci-Fi', 'Action']", ())
    ('Action', 'Sci-Fi')
    >>> parse_genres("[0 1 1]", ("Crime", "Drama", "War"))
    ('Drama', 'War')
    """
    text = _CONSTRUCTOR.sub("", text.strip())
    if _ENCODED.fullmatch(text):
        bits = [float(number) for number in re.findall(_BIT, text)]
        if len(bits) != len(names):
            raise ValueError(f"{len(bits)} numbers encode {len(bits)} genres, but {len(names)} are known")
        found = [name for name, bit in zip(names, bits, strict=True) if bit]
    elif _BEGINS_QUOTED.match(text):
        found = [first or second for first, second in _QUOTED.findall(text)]
    else:
        found = text.strip("[](){} ").split(",")
    return tuple(sorted({name.strip() for name in found} - {""}))


def read_genre_names(path: Path) -> tuple[str, ...]:
    """Return the names in a JSON list (else a `DataError`), or the known genres, sorted, if there is no such file."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tuple(sorted(GENRES))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}). Expected a list of genre names.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path} is not a list of genre names. Expected, for example, {json.dumps(GENRES[:3])}.")
    return tuple(names)


SPACE: Final = r"[\s\x1c-\x1f]"  # what `\s` matches in Python; Rust's lacks U+001C to U+001F
# Python's `\b` next to a letter, without look-around: Rust's also counts marks and joiners as letters.
_WORD_BEGINS: Final = r"(?:^|[^\p{L}\p{N}_])"
_WORD_ENDS: Final = r"(?:$|[^\p{L}\p{N}_])"


def any_case(pattern: str) -> str:
    """Return a lower-case pattern that ignores case as Python does: `i` is also the dotted and the dotless one."""
    return "(?i)" + pattern.replace("i", r"[i\x{130}\x{131}]")


# What pandas reads as a missing value.
MISSING_TEXTS: Final = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip

# The eleven placeholders of the earlier system. `.` stops at a line break.
PLACEHOLDERS: Final = {
    "add_a_plot": any_case("add a plot"),
    "under_wraps": any_case(f"{_WORD_BEGINS}under wrap"),
    "plot_unknown": any_case("plot.*unknown"),
    "plot_undisclosed": any_case("plot.*undisclosed"),
    "in_development": any_case("in development"),
    "no_plot": any_case("^no plot"),
    "tba": any_case(f"{_WORD_BEGINS}tba{_WORD_ENDS}"),
    "coming_soon": any_case("^coming soon"),
    "not_available": any_case("^not available|(?:plot|outline|details|story).*not available"),
    "not_disclosed": any_case("^not disclosed|(?:plot|outline|details|story).*not disclosed"),
    "unavailable": any_case("(?:plot|story|synopsis).*unavailable"),
}
ANY_PLACEHOLDER: Final = "|".join(f"(?:{pattern})" for pattern in PLACEHOLDERS.values())

# The ending of texts that the site shortened, exactly, and in any other spelling.
EXACT_TAIL: Final = rf"\.{{3,}}{SPACE}*See full (?:summary|synopsis){SPACE}»\z"
ANY_TAIL: Final = rf"(?i){SPACE}*(?:\.{{2,}}|…)?{SPACE}*see full (?:summary|synopsis)(?:{SPACE}*(?:»|>>))?{SPACE}*\z"
CLOSING: Final = r"[\"'\x{2019}\x{201d})\]]*"
ELLIPSIS: Final = rf"(?:\.{{3,}}|…){CLOSING}{SPACE}*\z"

# Invisible characters: controls, soft hyphens, zero-width spaces, direction marks, and U+FFFD, which replaces lost
# bytes. Not the zero-width joiners U+200C and U+200D, which are spelling in Persian and Indic scripts.
INVISIBLE: Final = (
    r"[\x00-\x08\x0e-\x1b\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}"
    r"\x{2060}-\x{2064}\x{2066}-\x{2069}\x{feff}\x{fffd}]"
)
# A text without any of these is blank.
VISIBLE: Final = rf"[^\s\x1c-\x1f{INVISIBLE[1:-1]}]"

NOTHING, TRUNCATED, WHOLE = "nothing", "truncated", "whole"


def worth_of(description: pl.Expr) -> pl.Expr:
    """Return whether a description is `nothing`, a `truncated` or a `whole` plot; the crawl requests the first two.

    Nothing: null, blank, a word such as "N/A", or a placeholder. Truncated: ends in three dots, an ellipsis, or the
    site's "See full summary".
    """
    text = description.fill_null("").str.strip_chars()
    is_nothing = text.is_in(MISSING_TEXTS) | ~text.str.contains(VISIBLE) | text.str.contains(f"(?:{ANY_PLACEHOLDER})")
    is_cut_off = text.str.contains(f"(?:{ANY_TAIL})|(?:{ELLIPSIS})")
    return pl.when(is_nothing).then(pl.lit(NOTHING)).when(is_cut_off).then(pl.lit(TRUNCATED)).otherwise(pl.lit(WHOLE))
