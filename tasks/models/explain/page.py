"""HTML pages, or parts of them, that explain why a model decided for genres."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from markupsafe import Markup

from tasks.core.page import Page, Section, Text, highlight_html, render_block, render_page, signed
from tasks.decision.calibration import logistic
from tasks.models.explain.attribution import REST, explain_decided, reasons, strongest
from tasks.models.explain.pieces import TEXTS, texts_of
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.predict import read_first_rows
from tasks.stage import write_atomically

SHOWN_REASONS: Final = 12  # words and fields of a genre in the table of numbers
SHOWN_SCORES: Final = 8  # genres with their bars; the others unfold

LEGEND: Final = Markup(highlight_html("raises lowers", [(0, 6, 1.0), (7, 13, -1.0)], 1.0))  # noqa: S704  constant text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExplainedGenre:
    """Why a movie got a genre: a sentence, its texts with highlighted words, its fields, and the numbers."""

    name: str
    sentence: str
    title: Markup
    description: Markup
    fields: Sequence[tuple[str, Markup]]
    numbers: Sequence[tuple[str, str]]


def explain_file(model_folder: Path, source: Path, target: Path, rule: str | None, n_rows: int) -> None:
    """Write a page that explains the genres of the first rows of a file; arguments and errors as `predict_file`."""
    classifier = GenreClassifier.load(model_folder)
    movies = read_first_rows(source, n_rows, classifier.model.own_fields)
    numbered = pl.format("{}. {}", pl.int_range(1, pl.len() + 1), "movie_id")  # ids of a file need not be unique
    write_page(classifier, movies.with_columns(movie_id=numbered), rule, target)


def write_page(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None, target: Path) -> pl.DataFrame:
    """Write a page that explains the genres that a rule decides for movies; return its `schema.EXPLANATIONS`.

    `movies` need unique `movie_id` and the columns that `GenreClassifier.predict` reads.
    """
    movies = movies.drop("genres", strict=False)  # in a file, that column is not a list
    table = explain_decided(classifier, movies, rule)
    full = strongest(table)
    subtitle = Markup(
        "Effect of each word and field on a genre's score, according to the model {}: {}. The darkest colour is "
        "{:.2f} in log-odds: +0.7 doubles the odds of the genre."
    ).format(classifier.name, LEGEND, full)
    sections = []
    for number, (movie_id, texts) in enumerate(zip(movies["movie_id"], texts_of(movies), strict=True), 1):
        genres = explain_genres(texts, table.filter(pl.col("movie_id") == movie_id), full)
        nothing = [Text(texts[1]), Text("None of the genres.")]
        sections.append(Section(f"movie-{number}", texts[0].strip() or movie_id, genres or nothing))
    page = Page("Why these genres", subtitle, sections, target.parent, has_contents=False)
    write_atomically(target, render_page(page))
    logger.info("%s: explained %d description%s", target, movies.height, "" if movies.height == 1 else "s")
    return table


def explain_genres(texts: tuple[str, str], table: pl.DataFrame, full: float) -> list[ExplainedGenre]:
    """Return the reasons for each genre of a movie, from its texts and its explanations; `full`: the full colour."""
    explained = []
    for _, rows in table.group_by("genre", maintain_order=True):
        spans = [rows.filter(source=source).select("start", "end", "contribution").rows() for source in TEXTS]
        title, description = (_highlight(text, of_text, full) for text, of_text in zip(texts, spans, strict=True))
        fields = rows.filter(pl.col("start").is_null(), pl.col("source") != REST)
        values = fields.select("source", "piece", "contribution").rows()
        base, value, shown = rows.item(0, "base"), rows.item(0, "value"), reasons(rows)[:SHOWN_REASONS]
        others = value - base - sum(contribution for _, contribution in shown)
        numbers = [("baseline, nothing known", base), *shown, ("everything else", others), ("sum", value)]
        explained.append(
            ExplainedGenre(
                rows.item(0, "genre"),
                say_reasons(rows),
                title if title.strip() else Markup(""),
                description,
                [(source, _highlight(piece, [(0, len(piece), effect)], full)) for source, piece, effect in values],
                [(name, signed(number)) for name, number in numbers],
            )
        )
    return explained


def _highlight(text: str, spans: Sequence[tuple[int, int, float]], full: float) -> Markup:
    return Markup(highlight_html(text, spans, full))  # noqa: S704  it escapes the text


def say_reasons(rows: pl.DataFrame, most: int = 5) -> str:
    """Return a sentence about one movie and genre: its score, and which words raise and lower it most."""
    base, value = (float(logistic(rows.item(0, end))) for end in ("base", "value"))
    said = f"Score {value:.2f} (baseline {base:.2f})."
    for name, sign in (("Raised", 1), ("Lowered", -1)):
        words = [f"{text} {signed(contribution)}" for text, contribution in reasons(rows) if contribution * sign > 0]
        said += f" {name} most by: {', '.join(words[:most])}." if words else ""
    return said


def render_answer(classifier: GenreClassifier, title: str, text: str, rule: str | None = None) -> str:
    """Return the genres of one description with all scores as bars, and its words highlighted for each decided genre.

    The page needs `tasks.core.page.answer_css`. All arguments are escaped. A ConfigError if there is no such rule.
    """
    movies = pl.DataFrame({"movie_id": ["this"], "movie_name": [title], "description": [text]})
    row = classifier.predict(movies, rule).row(0, named=True)
    decided = row["genres"].split(", ") if row["genres"] else []
    scores = [(genre, row[f"score_{genre}"], genre in decided) for genre in classifier.genres]
    scores.sort(key=lambda score: -score[1])
    first = [score for rank, score in enumerate(scores) if rank < SHOWN_SCORES or score[2]]
    explained = []
    if decided:
        table = explain_decided(classifier, movies, rule)
        explained = explain_genres(texts_of(movies)[0], table, strongest(table))
    answer = {
        "genres": row["genres"],
        "by": f"{classifier.name}, rule {rule or classifier.rule}",
        "first_scores": first,
        "other_scores": [score for score in scores if score not in first],
        "explained": explained,
        "legend": LEGEND if explained else None,
    }
    return render_block("answer", answer)
