"""`python -m tasks.annotate show ID`: print a movie's sentences from the annotated corpus."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import conllu

from tasks.annotate.import_conllu import find_documents, read_lines
from tasks.core.errors import DataError, GenreflowError
from tasks.core.settings import data_paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tasks.annotate", description="Look into the annotated corpus.")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print a movie's genres, sentences, tokens and lemmas")
    show.add_argument("movie_id", metavar="ID", help="such as tt0000574")
    show.add_argument("--corpus", type=Path, help="CoNLL-U file (default: the one in the data folder)")
    options = parser.parse_args(arguments)
    try:
        for line in show_movie(options.corpus or data_paths().conllu, options.movie_id):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # a reader such as `head` has closed the pipe; Python must not report it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except GenreflowError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def show_movie(corpus: Path, movie_id: str) -> Iterator[str]:
    """Yield the lines to print: id and genres, then each sentence with a table of its tokens.

    Raises:
        DataError: the corpus cannot be read, does not have the movie, or its sentences are damaged.
    """
    if not corpus.is_file():
        raise DataError(f"{corpus} does not exist: run the annotation stage first")
    places, _ = find_documents(corpus)
    if movie_id not in places:
        raise DataError(f"{corpus} has no sentence of {movie_id!r}: check the id, and whether cleaning kept the movie")
    try:
        sentences = conllu.parse("\n".join(read_lines(corpus, places[movie_id])))
    except conllu.exceptions.ParseException as error:
        raise DataError(
            f"{corpus}: the sentences of {movie_id!r} are not valid CoNLL-U ({error}). Run the annotation stage again "
            "to rewrite the file"
        ) from error
    for sentence in sentences:
        if "genre" in sentence.metadata:
            yield f"{movie_id}  {sentence.metadata['genre']}"
        yield f"\n{sentence.metadata.get('text', '')}"
        width = max((len(token["form"]) for token in sentence), default=0)
        for token in sentence:
            tags = "  ".join(token[column] for column in ("upos", "xpos") if token[column] not in (None, "_"))
            number = token["id"] if isinstance(token["id"], int) else "".join(map(str, token["id"]))  # such as 2-3
            yield f"{number:>4}  {token['form']:<{width}}  {token['lemma']}  {tags}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
