"""Two models side by side, in Markdown. Owns the form and the sentences; computes no metric."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from tasks.bootstrap import Interval
from tasks.markdown import escape, table

OVERALL: Final = ("jaccard", "f1_samples", "f1_micro", "f1_macro", "exact_match", "hamming_loss")
SHOWN_MOVIES: Final = 10
NOTHING: Final = "\N{EN DASH}"


def render_versus(
    models: Sequence[str],
    overall: Mapping[str, tuple[float, float, Interval]],
    genres: pl.DataFrame,
    movies: pl.DataFrame,
) -> str:
    """Return what sets two models apart, as Markdown.

    Args:
        models: their names.
        overall: of each metric in `OVERALL` both values and the interval of the first less the second.
        genres: as `tasks.report.versus.compare_genres` returns them.
        movies: as `tasks.report.versus.list_movies` returns them.
    """
    first, second = (escape(name) for name in models)
    parts = [
        f"# {first} and {second}\n",
        f"{_sentence(first, second, genres)} In brackets: 95 % intervals of the difference, by a paired bootstrap.\n",
        table(["on test", first, second, "difference"], [_overall_row(*row) for row in overall.items()]),
        "## Genres\n",
        _genre_table(first, second, genres),
        *(_movie_part(right, wrong, movies) for right, wrong in (tuple(models), tuple(models)[::-1])),
    ]
    return "\n".join(parts)


def _sentence(first: str, second: str, genres: pl.DataFrame) -> str:
    surely = [
        genres.filter(pl.col("f1_low") > 0)["genre"].to_list(),
        genres.filter(pl.col("f1_high") < 0)["genre"].to_list(),
    ]
    n_known = genres["f1_difference"].count()
    undecided = n_known - len(surely[0]) - len(surely[1])
    told = [
        f"{name} has surely more F1 in {len(better)} of {n_known} genres{_listed(better)}"
        for name, better in zip((first, second), surely, strict=True)
    ]
    undefined = genres.filter(pl.col("f1_difference").is_null())["genre"].to_list()
    missing = f" No test movie is {', '.join(map(escape, undefined))}, so nothing is said of it." if undefined else ""
    return (
        f"{told[0]}; {told[1]}; in {undecided} the interval holds zero. Of so many intervals about one in twenty lies "
        f"off zero by chance.{missing}"
    )


def _listed(genres: Sequence[str]) -> str:
    return f" ({', '.join(map(escape, genres))})" if genres else ""


def _overall_row(metric: str, values: tuple[float, float, Interval]) -> list[str]:
    first, second, difference = values
    return [
        escape(metric.replace("_", " ")),
        f"{first:.4f}",
        f"{second:.4f}",
        _with_ends(difference.value, difference.low, difference.high),
    ]


def _genre_table(first: str, second: str, genres: pl.DataFrame) -> str:
    header = [
        "genre",
        "movies",
        f"F1 {first}",
        f"F1 {second}",
        "F1 difference",
        "precision difference",
        "recall difference",
    ]
    header += [f"only {first} right", f"only {second} right"]
    rows = [
        [
            escape(row["genre"]),
            f"{row['support']:,}",
            _written(row["first_f1"]),
            _written(row["second_f1"]),
            _with_ends(row["f1_difference"], row["f1_low"], row["f1_high"]),
            _signed(row["precision_difference"]),
            _signed(row["recall_difference"]),
            f"{row['only_first_right']:,}",
            f"{row['only_second_right']:,}",
        ]
        for row in genres.sort("f1_difference", "genre", descending=[True, False], nulls_last=True).iter_rows(
            named=True
        )
    ]
    return table(header, rows)


def _movie_part(right: str, wrong: str, movies: pl.DataFrame) -> str:
    listed = movies.filter(pl.col("right") == right)
    title = f"## Only {escape(right)} is right: {listed.height:,} movie{'' if listed.height == 1 else 's'}\n"
    if listed.is_empty():
        return title
    shown = listed.head(SHOWN_MOVIES)
    rows = [
        [escape(str(row[name] or "")) for name in ("movie_name", "movie_id", "true_genres", "wrong_genres")]
        for row in shown.iter_rows(named=True)
    ]
    more = "" if shown.height == listed.height else "\nAll of them are in `versus_movies.csv`.\n"
    header = ["movie", "id", "genres", f"{escape(wrong)} says"]
    return f"{title}\n{table(header, rows, len(header))}{more}"


def _with_ends(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return NOTHING
    return f"{value:+.3f} \\[{low:+.3f}, {high:+.3f}\\]"


def _signed(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.3f}"


def _written(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
