"""Prediction for one text on the command line, without starting Prefect."""

import logging
import sys
from typing import Final

import polars as pl
from rich.console import Console
from rich.text import Text

from flows.config import PredictConfig
from tasks.core.page import LEAST_SHARE, share_of
from tasks.core.settings import data_paths
from tasks.models.explain.attribution import strongest
from tasks.models.explain.page import say_reasons, write_page
from tasks.models.explain.pieces import TEXTS, texts_of
from tasks.models.genre_classifier import GenreClassifier
from tasks.tracking.stored_model import fetch_classifier

# From a weak to a strong influence: the colours of `tasks.core.page` for a terminal.
RAISES: Final = ((214, 234, 245), (64, 150, 200))
LOWERS: Final = ((252, 238, 207), (233, 170, 40))
INK: Final = "#111111"
BAR_LENGTH: Final = 30

logger = logging.getLogger("flows.predict")


def predict_text(config: PredictConfig) -> int:
    """Print the genres of one description with their scores, and optionally the reasons; return the exit code."""
    if not (config.text or "").strip():
        logger.warning("the text is empty: the genres are those predicted without any information")
    classifier = GenreClassifier.load(fetch_classifier(config.model))
    classifier.model.precision = config.precision
    movies = pl.DataFrame({"movie_id": ["this"], "movie_name": [config.title or ""], "description": [config.text]})
    row = classifier.predict(movies, config.rule).row(0, named=True)
    decided, width = row["genres"].split(", "), max(map(len, classifier.genres))
    lines = [row["genres"] or "none of the genres", ""]
    for genre in sorted(classifier.genres, key=lambda genre: -row[f"score_{genre}"]):
        score = row[f"score_{genre}"]
        lines.append(
            f"{'*' if genre in decided else ' '} {genre:<{width}}  {score:.3f}  {'█' * round(score * BAR_LENGTH)}"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    if config.explain:
        print_explained(classifier, movies, config)
    return 0


def print_explained(classifier: GenreClassifier, movies: pl.DataFrame, config: PredictConfig) -> None:
    """Print the reasons for the movies' genres, and write them to a page."""
    target = config.explained or data_paths().results / "explained.html"
    table = write_page(classifier, movies, config.rule, target)
    console = Console(highlight=False)
    if table.filter(pl.col("source").is_in(TEXTS), pl.col("contribution") != 0).is_empty():
        console.print("\nThe model does not know any word of the text.", soft_wrap=True)
    for texts in texts_of(movies):
        for (genre,), rows in table.group_by("genre", maintain_order=True):
            console.print(Text(f"\n{genre}", style="bold"), Text(say_reasons(rows)), sep="\n", soft_wrap=True)
            for text, source in zip(texts, TEXTS, strict=True):
                if text:
                    console.print(highlight(text, rows.filter(pl.col("source") == source), strongest(table)))
    console.print(Text(f"\nblue raises the score, orange lowers it; as a page: {target}", style="dim"), soft_wrap=True)


def highlight(text: str, rows: pl.DataFrame, full: float) -> Text:
    """Return a text for the terminal, the pieces in the rows (`schema.EXPLANATIONS`) coloured by their contribution."""
    coloured = Text(text)
    for start, end, contribution in rows.select("start", "end", "contribution").iter_rows():
        share = share_of(contribution, full)
        if share >= LEAST_SHARE:
            weak, strong = RAISES if contribution > 0 else LOWERS
            mixed = ",".join(str(round(low + share * (high - low))) for low, high in zip(weak, strong, strict=True))
            coloured.stylize(f"{INK} on rgb({mixed})", start, end)
    return coloured
