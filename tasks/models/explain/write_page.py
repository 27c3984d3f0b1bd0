"""Pages that explain decisions, as files. Owns what is explained for whom; how a page looks is `.page`."""

import logging
from pathlib import Path

import polars as pl

from tasks.models.classifier import GenreClassifier
from tasks.models.explain.page import render_page
from tasks.models.explain.table import explain_decided
from tasks.models.prediction.read import read_first_rows
from tasks.stage import write_atomically

logger = logging.getLogger(__name__)


def explain_file(model_folder: Path, source: Path, target: Path, rule: str | None, n_rows: int) -> Path:
    """Write a page that explains the genres of the first rows of a file; arguments and errors as `predict_file`."""
    classifier = GenreClassifier.load(model_folder)
    movies = read_first_rows(source, n_rows, classifier.model.own_fields)
    numbered = pl.format("{}. {}", pl.int_range(1, pl.len() + 1), "movie_id")  # ids of a file need not be unique
    movies = movies.with_columns(movie_id=numbered)
    write_page(classifier, movies, rule, target)
    return target


def write_page(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None, target: Path) -> pl.DataFrame:
    """Write a page that explains which genres a rule decides for movies; return what it shows (`schema.EXPLANATIONS`).

    Args:
        classifier: whose decisions they are.
        movies: column `movie_id`, no two alike, and those that `GenreClassifier.predict` reads.
        rule: as in `GenreClassifier.predict`.
        target: appears whole or not at all.
    """
    movies = movies.drop("genres", strict=False)  # a file's own column of that name is no list
    table = explain_decided(classifier, movies, rule)
    write_atomically(target, render_page(table, movies, classifier.name))
    logger.info("%s: the reasons for %d description%s", target, movies.height, "" if movies.height == 1 else "s")
    return table
