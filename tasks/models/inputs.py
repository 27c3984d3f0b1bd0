"""From movies to documents. Owns which columns become text; knows no representation."""

import polars as pl

from tasks.errors import DataError
from tasks.language import Pipeline, lemmatise
from tasks.models.spec import InputSpec


def read_documents(movies: pl.DataFrame, spec: InputSpec) -> list[str]:
    """Return one document a movie, in the order of the rows.

    Args:
        movies: columns `description`, and `movie_name` where `spec.title` asks for it (a missing or null title counts
            as empty). Where `spec.text` is "lemmas" and there is a column `lemmas` (lists of strings, from the
            annotated corpus), it stands for the description; otherwise the description is lemmatised here, in the same
            way.
        spec: which text to read.

    Returns:
        Documents; the title, if any, comes first on a line of its own. A movie without text gives "".

    Raises:
        DataError: there is no column `description`.
    """
    if "description" not in movies.columns:
        raise DataError(f"the input has no column 'description'; it has: {', '.join(movies.columns)}")
    titles = _texts(movies, "movie_name") if spec.title else None
    if spec.text == "surface":
        descriptions = _texts(movies, "description")
    elif "lemmas" in movies.columns:
        descriptions = movies.get_column("lemmas").list.join(" ").to_list()
    else:
        descriptions = _lemmatised(_texts(movies, "description"), spec.pipeline)
    if titles is None:
        return descriptions
    if spec.text == "lemmas":
        titles = _lemmatised(titles, spec.pipeline)
    return [f"{title}\n{description}" for title, description in zip(titles, descriptions, strict=True)]


def _texts(movies: pl.DataFrame, column: str) -> list[str]:
    if column not in movies.columns:
        return [""] * movies.height
    return movies.get_column(column).cast(pl.String).fill_null("").to_list()


def _lemmatised(texts: list[str], pipeline: Pipeline) -> list[str]:
    return [" ".join(lemmas) for lemmas in lemmatise(texts, pipeline)]
