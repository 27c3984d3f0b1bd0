"""Cost of cleaning, by number of rows and compared with plain pandas and polars.

    python benchmarks/clean.py [FOLDER] [--rows 33000 330000] [--plot FILE]

The listings in FOLDER (default: the generated sample) are repeated up to the requested number of rows. Each copy has
different ids and texts: every third word gets the copy's number, so that no two copies are near-duplicates.

Each method runs in a fresh process on the same files. CPU time is the user and system time of that process, including
the start of Python and imports; the peak is its resident set. The methods:

pandas          Written for this comparison without optimisation: read, concatenate, group with Python lambdas, one
                `str.contains` for each pattern, write a CSV. Rules of the earlier system.
pandas objects  The same with strings as Python objects, as up to pandas 2 and without pyarrow.
polars          The same as a plain polars script.
original        The clean stage with the same rules; it must keep as many movies.
default         The clean stage with its default rules.

The clean stage also checks the files for damage, hashes inputs and outputs, parses the side fields, counts its changes,
writes parquet in addition to CSV, and groups near-identical texts. The cost of this grouping, which pandas does not do,
is also shown separately. CPU times depend on the machine and its load: compare methods of one run, not runs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cost_picture import write_costs

WAYS = ("pandas", "pandas objects", "polars", "original", "default")
MOST_PANDAS_ROWS = 1_000_000  # beyond, the pandas ways take gigabytes and say nothing new
SIDE_FIELDS = ("year", "certificate", "runtime", "rating", "votes", "director", "star")
PLACEHOLDERS = (
    r"add a plot", r"\bunder wrap", r"plot.*unknown", r"plot.*undisclosed", r"in development", r"^no plot", r"\btba\b",
    r"^coming soon", r"^not available|(?:plot|outline|details|story).*not available",
    r"^not disclosed|(?:plot|outline|details|story).*not disclosed", r"(?:plot|story|synopsis).*unavailable",
)  # fmt: skip


def clean_with_pandas(folder: Path) -> dict[str, Any]:
    """Clean in pandas without optimisation."""
    import pandas as pd  # noqa: PLC0415 - each way pays for its own imports

    rows = pd.concat([pd.read_csv(path) for path in sorted((folder / "raw").glob("*.csv"))])
    rows = rows.dropna(subset=["movie_id", "movie_name", "genre", "description"])
    rows = rows[~rows["genre"].str.contains("Reality-TV|News|Adult|Talk-Show|Game-Show|Short", case=False)]
    movies = rows.groupby(["movie_id", "movie_name"], as_index=False).agg(
        {
            "genre": lambda texts: ", ".join(sorted({name.strip() for text in texts for name in text.split(",")})),
            "description": lambda texts: max(
                [text for text in texts if text != "Add a Plot"], key=len, default="Add a Plot"
            ),
            **dict.fromkeys(SIDE_FIELDS, "first"),
        }
    )
    for pattern in PLACEHOLDERS:
        movies = movies[~movies["description"].str.contains(pattern, case=False)]
    for end in (r"\.{3,}\s*See full (?:summary|synopsis)\s»$", "—[^\n]*$"):
        movies["description"] = movies["description"].str.replace(end, "", regex=True).str.strip()
    movies = movies.drop_duplicates("description").drop_duplicates("movie_id")
    movies.to_csv(folder / "clean_data.csv", index=False)
    return {"movies": len(movies)}


def clean_with_polars(folder: Path) -> dict[str, Any]:
    """Clean as `clean_with_pandas` does, in polars."""
    import polars as pl  # noqa: PLC0415 - as above

    text = pl.col("description")
    rows = pl.concat([pl.read_csv(path, infer_schema=False) for path in sorted((folder / "raw").glob("*.csv"))])
    rows = rows.drop_nulls(["movie_id", "movie_name", "genre", "description"])
    rows = rows.filter(~pl.col("genre").str.contains("(?i)Reality-TV|News|Adult|Talk-Show|Game-Show|Short"))
    kept = pl.when(text != "Add a Plot").then(text)
    movies = rows.group_by("movie_id", "movie_name").agg(
        pl.col("genre"),
        kept.get(kept.str.len_chars().arg_max()).fill_null("Add a Plot"),
        pl.col(*SIDE_FIELDS).first(ignore_nulls=True),
    )
    genres = pl.col("genre").list.join(",").str.split(",").list.eval(pl.element().str.strip_chars().unique().sort())
    movies = movies.filter(~text.str.contains(f"(?i){'|'.join(PLACEHOLDERS)}"))
    for end in (r"\.{3,}\s*See full (?:summary|synopsis)\s»$", r"—[^\n]*$"):
        movies = movies.with_columns(text.str.replace(end, "").str.strip_chars())
    movies = movies.sort("movie_id", "movie_name").unique("description", keep="first", maintain_order=True)
    movies = movies.unique("movie_id", keep="first", maintain_order=True).with_columns(genres.list.join(", "))
    movies.write_csv(folder / "clean_data.csv")
    return {"movies": len(movies)}


def clean_with_genreflow(folder: Path, profile: str) -> dict[str, Any]:
    """Run the clean stage and measure how much of it the grouping of texts takes."""
    from tasks.clean import movies  # noqa: PLC0415 - as above
    from tasks.clean.profiles import CleanConfig  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    group_texts, grouping_s = movies.group_texts, 0.0

    def timed(*arguments: Any) -> Any:
        nonlocal grouping_s
        start_s = time.process_time()
        grouped = group_texts(*arguments)
        grouping_s = time.process_time() - start_s
        return grouped

    movies.group_texts = timed
    result = movies.clean_movies(DataPaths(folder), CleanConfig.model_validate({"profile": profile}))
    return {"movies": result.counts["movies_kept"], "grouping_s": round(grouping_s, 2)}


def run_way(way: str, folder: Path) -> None:
    """Clean in this process and print the figures of the method as JSON."""
    if way == "pandas objects":
        import pandas as pd  # noqa: PLC0415 - as above

        pd.set_option("future.infer_string", False)
    if way == "polars":
        said = clean_with_polars(folder)
    else:
        said = clean_with_pandas(folder) if way.startswith("pandas") else clean_with_genreflow(folder, way)
    print(json.dumps(said))


def measure(way: str, folder: Path) -> dict[str, Any]:
    """Clean in a fresh process and return its CPU seconds, its peak in megabytes and the figures that it prints."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, __file__, str(folder), "--way", way], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{way}: exit status {process.returncode}")
        output.seek(0)
        said = json.load(output)
    cpu_s, unit = usage.ru_utime + usage.ru_stime, 1 if sys.platform == "darwin" else 1024
    return {"way": way, "cpu_s": round(cpu_s, 2), "peak_mb": round(usage.ru_maxrss * unit / 1e6), **said}


def repeat_listings(source: Path, folder: Path, n_rows: int) -> int:
    """Write about `n_rows` rows into a folder, copy after copy of the listings, and return how many."""
    import polars as pl  # noqa: PLC0415 - as above

    from tasks.core.schema import ANY_PLACEHOLDER, ANY_TAIL  # noqa: PLC0415

    folder.mkdir()
    files = {path.name: pl.read_csv(path, infer_schema=False) for path in sorted(source.glob("*.csv"))}
    text = pl.col("description")
    n_copies = max(1, round(n_rows / sum(rows.height for rows in files.values())))
    for name, rows in files.items():
        with (folder / name).open("wb") as file:
            for copy in range(n_copies):
                plot = text.str.replace(ANY_TAIL, "").str.replace_all(r"(\S+)((?:\s+\S+){0,2})", f"${{1}}{copy}${{2}}")
                own_text = plot + text.str.extract(f"({ANY_TAIL})").fill_null("")
                is_plot = ~text.str.contains(ANY_PLACEHOLDER)
                own = rows.with_columns(
                    pl.col("movie_id") + f"{copy:02x}", pl.when(is_plot).then(own_text).otherwise(text)
                )
                own.write_csv(file, include_header=copy == 0)
    return n_copies * sum(rows.height for rows in files.values())


def compare(source: Path, n_rows: int) -> list[dict[str, Any]]:
    """Run every method on about `n_rows` rows and return the cost of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = repeat_listings(source, folder / "raw", n_rows)
        ways = [way for way in WAYS if rows <= MOST_PANDAS_ROWS or not way.startswith("pandas")]
        found = [{"rows": rows, **measure(way, folder)} for way in ways]
    kept = {result["way"]: result["movies"] for result in found}
    if len({kept[way] for way in ways if way != "default"}) != 1:
        raise SystemExit(f"the ways do not agree: {kept}")
    return found


def print_table(results: list[dict[str, Any]]) -> None:
    """Print the cost of each method; `times` is its CPU time divided by that of `original` without the grouping."""
    columns = ("rows", "way", "CPU s", "µs a row", "peak MB", "movies", "grouping s", "times")
    print("{:>10} {:15} {:>8} {:>9} {:>8} {:>10} {:>11} {:>6}".format(*columns))
    plain_s = {
        result["rows"]: result["cpu_s"] - result["grouping_s"] for result in results if result["way"] == "original"
    }
    for result in results:
        rows, cpu_s, grouping_s = result["rows"], result["cpu_s"], result.get("grouping_s", "")
        print(
            f"{rows:10,} {result['way']:15} {cpu_s:8.2f} {cpu_s / rows * 1e6:9.1f} {result['peak_mb']:8,} "
            f"{result['movies']:10,} {grouping_s:>11} {cpu_s / plain_s[rows]:6.1f}"
        )


def main() -> None:
    """Measure the methods at each size and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description="What cleaning costs beside the plain pandas way.")
    parser.add_argument("folder", nargs="?", type=Path, help="per-genre CSVs; without: the generated sample")
    parser.add_argument("--rows", nargs="+", type=int, default=(33_000, 330_000), help="about how many, several sizes")
    parser.add_argument("--plot", type=Path, help="write FILE.svg and FILE.png")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run_way(options.way, options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        source = options.folder or write_sample_listings(Path(name))
        results = [result for n_rows in options.rows for result in compare(source, n_rows)]
    print_table(results)
    if options.plot:
        write_costs(options.plot, "Cleaning", results, {"cpu_s": "CPU seconds"})
    facts = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "listings": options.folder.name if options.folder else "generated sample",
    }
    print(json.dumps({**facts, "results": results}))


def write_sample_listings(folder: Path) -> Path:
    """Write the generated sample's listings into a folder and return it."""
    from tasks.acquire.sample import write_sample  # noqa: PLC0415 - as above

    write_sample(folder, 20_000, seed=42069)
    return folder


if __name__ == "__main__":
    main()
