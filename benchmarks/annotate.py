"""Cost of annotating and reading the corpus, by size and compared with spaCy and the package conllu.

    python benchmarks/annotate.py [FOLDER] [--rows 11000 33000 110000 330000] [--plot FILE]

The listings in FOLDER (default: the generated sample) are cleaned once and repeated up to the requested number of
documents. Each copy has different ids and texts: half of the words that occur once in the listings are changed in each
copy, so that the vocabulary grows about as in real listings, with the power 0.6 of the documents.

Each method runs in a fresh process on the same files. CPU time is the user and system time of that process and its
workers, including the start of Python, imports and language data; the peak is the largest resident set of one process.
The methods:

spacy            Written for this comparison with good use of both packages: `nlp.pipe` of a blank English pipeline
                 with a sentencizer, simplemma, `conllu.TokenList.serialize()`. No companion, no shards.
one worker       The annotation stage, corpus and companion; `two workers` uses two cores. The corpus must have the
                 same bytes as that of `spacy`.
parse_incr       `conllu.parse_incr`, forms and lemmas of every document.
read companion   The same from the companion, one row group at a time.

Wall times, and so the gain of a second worker, depend on other work on the machine; `load` is its load before the
method started. Compare figures of one machine only.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cost_picture import write_costs

WRITERS = ("spacy", "one worker", "two workers")
READERS = ("parse_incr", "read companion")
SLOW = ("spacy", "parse_incr")
MOST_SLOW_ROWS = 33_000  # beyond, they take minutes and say nothing new
SAMPLE_MOVIES = 30_000


def annotate_with_spacy(folder: Path) -> dict[str, Any]:
    """Write the corpus with spaCy's pipeline and the package conllu."""
    import polars as pl  # noqa: PLC0415 - each way pays for its own imports
    import simplemma  # noqa: PLC0415
    import spacy  # noqa: PLC0415
    from conllu import Token, TokenList  # noqa: PLC0415

    from tasks.core.language import normalise_text  # noqa: PLC0415

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    ids, genres, texts = pl.read_parquet(folder / "clean" / "movies.parquet", columns=_COLUMNS).get_columns()
    empty = dict.fromkeys(("upos", "xpos", "feats", "head", "deprel", "deps"), "_")
    with (folder / "spacy.conllu").open("w", encoding="utf-8") as file:
        for movie_id, names, doc in zip(ids, genres, nlp.pipe(map(normalise_text, texts)), strict=True):
            for number, sentence in enumerate(doc.sents, 1):
                metadata = {"sent_id": f"{movie_id}-{number}", "text": sentence.text}
                if number == 1:
                    metadata = {"newdoc id": movie_id, "genre": json.dumps(names.to_list()), **metadata}
                tokens = [
                    Token(
                        id=position,
                        form=token.text,
                        lemma=simplemma.lemmatize(token.lower_, lang="en"),
                        **empty,
                        misc="_" if token.whitespace_ or token.i == len(doc) - 1 else "SpaceAfter=No",
                    )
                    for position, token in enumerate(sentence, 1)
                ]
                file.write(TokenList(tokens, metadata).serialize())
    return {"documents": len(ids)}


def annotate_with_genreflow(folder: Path, workers: int) -> dict[str, Any]:
    """Run the annotation stage."""
    from tasks.annotate.corpus import AnnotateConfig, annotate_movies  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    paths = DataPaths(folder)
    shutil.rmtree(paths.conllu.parent, ignore_errors=True)
    counts = annotate_movies(paths, AnnotateConfig(), workers).counts
    return {name: counts[name] for name in ("documents", "tokens")}


def read_with_parse_incr(folder: Path) -> dict[str, Any]:
    """Read forms and lemmas with the package conllu."""
    import conllu  # noqa: PLC0415

    documents = tokens = 0
    with (folder / "conllu" / "movies.conllu").open(encoding="utf-8") as file:
        for sentence in conllu.parse_incr(file):
            documents += "newdoc id" in sentence.metadata
            forms, lemmas = ([token[column] for token in sentence] for column in ("form", "lemma"))
            assert len(forms) == len(lemmas)
            tokens += len(forms)
    return {"documents": documents, "tokens": tokens}


def read_companion(folder: Path) -> dict[str, Any]:
    """Read forms and lemmas from the companion, a row group at a time."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    documents = tokens = 0
    for batch in pq.ParquetFile(folder / "conllu" / "movies.parquet").iter_batches(2_000):
        forms, lemmas = (batch.column(name).to_pylist() for name in ("tokens", "lemmas"))
        documents += sum(map(bool, forms))
        tokens += sum(map(len, forms))
        assert len(lemmas) == len(forms)
    return {"documents": documents, "tokens": tokens}


_COLUMNS = ["movie_id", "genres", "description"]
RUN: dict[str, Callable[[Path], dict[str, Any]]] = {
    "spacy": annotate_with_spacy,
    "one worker": lambda folder: annotate_with_genreflow(folder, 1),
    "two workers": lambda folder: annotate_with_genreflow(folder, 2),
    "parse_incr": read_with_parse_incr,
    "read companion": read_companion,
}


def clean_listings(source: Path | None, folder: Path) -> None:
    """Clean the listings, or the generated sample, into a folder."""
    from tasks.acquire.sample import write_sample  # noqa: PLC0415
    from tasks.clean.movies import clean_movies  # noqa: PLC0415
    from tasks.clean.profiles import CleanConfig  # noqa: PLC0415
    from tasks.core.settings import DataPaths  # noqa: PLC0415

    paths = DataPaths(folder)
    if source is None:
        paths.raw.mkdir()
        write_sample(paths.raw, SAMPLE_MOVIES, seed=42069)
    else:
        paths.raw.symlink_to(source.resolve())
    clean_movies(paths, CleanConfig())


def repeat_movies(cleaned: Path, folder: Path, n_rows: int) -> None:
    """Write the first `n_rows` of the cleaned movies and copies of them, each with different texts, to a folder."""
    import polars as pl  # noqa: PLC0415

    movies = pl.read_parquet(cleaned / "clean" / "movies.parquet")
    counts = Counter(word for text in movies["description"] for word in text.split())
    varied = set(sorted(word for word, count in counts.items() if count == 1)[::2])

    def vary(text: str, letters: str) -> str:
        words = (
            re.sub(r"([^\W\d_])([^\W\d_])", rf"\1{letters}\2", word, count=1) if word in varied else word
            for word in text.split()
        )
        return " ".join([*words, letters])

    copies = []
    for copy in range(-(-n_rows // movies.height)):
        rows = movies.head(n_rows - copy * movies.height)
        texts = [vary(text, _letters(copy)) for text in rows["description"]]
        copies.append(
            rows.with_columns(
                pl.format(f"tt{copy:03}-{{}}", "movie_id").alias("movie_id"), description=pl.Series(texts)
            )
        )
    (folder / "clean").mkdir(parents=True)
    pl.concat(copies).write_parquet(folder / "clean" / "movies.parquet", row_group_size=65_536)


def _letters(number: int) -> str:
    """Return a number in letters, as many as it needs."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def run_fresh(*arguments: str) -> dict[str, Any]:
    """Run this file in a fresh process and return its cost and the figures that it prints.

    This process stays small, because on Linux the peak of a new process starts with the memory of its parent.
    """
    load, start_s = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{arguments}: exit status {process.returncode}")
        output.seek(0)
        said = json.load(output)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(time.perf_counter() - start_s, 2),
        "peak_mb": round(usage.ru_maxrss * unit / 1e6),
        "load": round(load, 1),
        **said,
    }


def compare(cleaned: Path, n_rows: int) -> list[dict[str, Any]]:
    """Run every method on `n_rows` documents and return the cost of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        run_fresh("--repeat", str(n_rows), str(cleaned), str(folder))
        ways = [way for way in (*WRITERS, *READERS) if n_rows <= MOST_SLOW_ROWS or way not in SLOW]
        found = [{"rows": n_rows, "way": way, **run_fresh("--way", way, str(folder))} for way in ways]
        if (theirs := folder / "spacy.conllu").exists() and _hash(theirs) != _hash(folder / "conllu" / "movies.conllu"):
            raise SystemExit(f"the corpus of spaCy and that of the stage differ at {n_rows} documents")
    return found


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def print_table(results: list[dict[str, Any]]) -> None:
    """Print the cost of each method."""
    print(f"{'documents':>10} {'way':15}{'CPU s':>9}{'docs/CPU s':>12}{'wall s':>9}{'peak MB':>9}{'load':>6}")
    for result in results:
        print(
            f"{result['rows']:10,} {result['way']:15}{result['cpu_s']:9.2f}{result['rows'] / result['cpu_s']:12,.0f}"
            f"{result['wall_s']:9.1f}{result['peak_mb']:9,}{result['load']:6.1f}"
        )


def main() -> None:
    """Measure the methods at each size and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description="What annotating and reading the corpus cost.")
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="per-genre CSVs; without: the sample")
    parser.add_argument("--rows", nargs="+", type=int, default=(11_000, 33_000, 110_000, 330_000), help="several sizes")
    parser.add_argument("--plot", type=Path, help="write FILE.svg and FILE.png")
    parser.add_argument("--way", choices=RUN, help=argparse.SUPPRESS)  # these three: a fresh process of this one
    parser.add_argument("--clean", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeat", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    source = options.folders[0] if options.folders else None
    if options.way:
        print(json.dumps(RUN[options.way](source)))
    elif options.clean:
        clean_listings(source, options.clean)
        print("{}")
    elif options.repeat:
        repeat_movies(*options.folders, options.repeat)
        print("{}")
    else:
        report(source, options.rows, options.plot)


def report(source: Path | None, sizes: list[int], plot: Path | None) -> None:
    """Measure, and print and draw the results."""
    with tempfile.TemporaryDirectory() as cleaned:
        run_fresh("--clean", cleaned, *([str(source)] if source else []))
        results = [result for n_rows in sizes for result in compare(Path(cleaned), n_rows)]
    print_table(results)
    if plot:
        write_costs(
            plot, "Annotating and reading", results, {"cpu_s": "CPU seconds", "peak_mb": "peak MB of a process"}
        )
    facts = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "python": platform.python_version()}
    print(json.dumps({**facts, "listings": source.name if source else "generated sample", "results": results}))


if __name__ == "__main__":
    main()
