"""Pages that explain decisions, as files. Owns what is explained for whom; how a page looks is `.page`."""

import logging
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import polars as pl

from tasks.core.markup import COLOURED_CSS, coloured_html, signed
from tasks.decision.calibration import logistic
from tasks.models.explain.attribution import REST, Reason, explain_decided, reasons, strongest
from tasks.models.explain.pieces import TEXTS, texts_of
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.predict import read_first_rows
from tasks.stage import write_atomically

SHOWN: Final = 12  # words of a genre in the table

_STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; color: #222; background: #fff;
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0; padding-top: .75rem; border-top: 2px solid #222; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
.fields { color: #444; font-size: .95rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: #005a8e; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .15rem 1.5rem .15rem 0; border-bottom: 1px solid #d9d9d9; font-weight: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } section section { break-inside: avoid; } }
"""


def render_page(table: pl.DataFrame, movies: pl.DataFrame, model_name: str) -> str:
    """Return the page about explained movies.

    Args:
        table: `schema.EXPLANATIONS`.
        movies: `movie_id` and what was explained of them, in the order of the page; a movie without a row in the table
            has no genre.
        model_name: whose decisions they are.
    """
    full = strongest(table)
    sections = "\n".join(
        _render_movie(movie_id, texts, table.filter(pl.col("movie_id") == movie_id), full)
        for movie_id, texts in zip(movies.get_column("movie_id").to_list(), texts_of(movies), strict=True)
    )
    legend = coloured_html("raises lowers", [(0, 6, 1.0), (7, 13, -1.0)], 1.0)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Why these genres</title>
<style>{_STYLE}{COLOURED_CSS}</style>
</head>
<body>
<main>
<h1>Why these genres</h1>
<p>What each word and field adds to a genre in the eyes of the model {escape(model_name)}: {legend}, the darker the
more; the darkest is {full:.2f}. Numbers are log-odds: 0.7 more doubles the odds of the genre.</p>
{sections}
</main>
</body>
</html>
"""


def _render_movie(movie_id: str, texts: tuple[str, str], table: pl.DataFrame, full: float) -> str:
    genres = table.get_column("genre").unique(maintain_order=True).to_list()
    found = "\n".join(render_genre(texts, table.filter(pl.col("genre") == genre), full) for genre in genres)
    return f"""<section>
<h2>{escape(texts[0].strip() or movie_id)}</h2>
{found or f"<p>{escape(texts[1])}</p><p>None of the genres.</p>"}
</section>"""


def render_genre(texts: tuple[str, str], rows: pl.DataFrame, full: float) -> str:
    """Return a section about why a movie has a genre: the strongest reasons, its words in colours, and the numbers.

    Args:
        texts: title and description.
        rows: of `schema.EXPLANATIONS`, those of the movie and genre.
        full: the contribution that has the full colour.
    """
    genre = escape(rows.item(0, "genre"))
    coloured = [coloured_html(text, _spans(rows, source), full) for text, source in zip(texts, TEXTS, strict=True)]
    title, description = coloured
    fields = ", ".join(
        f"{source} {coloured_html(piece, [(0, len(piece), contribution)], full)}"
        for source, piece, contribution in rows.filter(pl.col("start").is_null(), pl.col("source") != REST)
        .select("source", "piece", "contribution")
        .iter_rows()
    )
    return f"""<section>
<h3>{genre}</h3>
<p>{escape(say_reasons(rows))}</p>
<p>{f"<strong>{title}</strong><br>" if title.strip() else ""}{description}</p>
{f'<p class="fields">{fields}</p>' if fields else ""}
{_render_table(reasons(rows)[:SHOWN], rows)}
</section>"""


def _render_table(shown: Sequence[Reason], rows: pl.DataFrame) -> str:
    base, value = rows.item(0, "base"), rows.item(0, "value")
    others = value - base - sum(reason.contribution for reason in shown)
    lines = [
        ("nothing known", base),
        *((reason.text, reason.contribution) for reason in shown),
        ("all else", others),
        ("together", value),
    ]
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{signed(number)}</td></tr>'
        for name, number in lines
    )
    return f"""<details><summary>Numbers for {escape(rows.item(0, "genre"))}</summary>
<table><tbody>
{body}
</tbody></table></details>"""


def say_reasons(rows: pl.DataFrame, most: int = 5) -> str:
    """Return a sentence about one movie and genre: how likely it is, and which words speak for and against it."""
    base, value = (float(logistic(rows.item(0, end))) for end in ("base", "value"))
    found = reasons(rows)
    sides = [
        (name, [f"{reason.text} {signed(reason.contribution)}" for reason in found if reason.contribution * sign > 0])
        for name, sign in (("for", 1), ("against", -1))
    ]
    said = "; ".join(f"{name} it: {', '.join(words[:most])}" for name, words in sides if words)
    return f"Score {value:.2f}, and {base:.2f} if nothing were known." + (f" Most {said}." if said else "")


def _spans(rows: pl.DataFrame, source: str) -> list[tuple[int, int, float]]:
    return list(rows.filter(pl.col("source") == source).select("start", "end", "contribution").iter_rows())


SHOWN_LABELS: Final = 8  # genres with their bars; the others unfold

# Always dark on white, since the colours of words are made for paper; important, since pages style tables as well.
ANSWER_CSS: Final = f"""{COLOURED_CSS}
.answer {{ color: #222; background: #fff; border: 1px solid #d8dee4; border-radius: .5rem; padding: 1rem 1.25rem;
  overflow-wrap: anywhere; line-height: 1.6; }}
.answer * {{ color: inherit; }}
.answer .verdict {{ font-size: 1.5rem; line-height: 1.25; font-weight: 700; margin: 0; }}
.answer .by, .answer .legend {{ font-size: .9rem; color: #57606a; margin: .15rem 0 1rem; }}
.answer .legend span {{ color: #222; }}
.answer tr, .answer th, .answer td {{ border: 0 !important; text-align: left; font-weight: 400; }}
.answer .scores {{ width: 100%; border: 0 !important; border-collapse: collapse; margin: 0; }}
.answer .scores th, .answer .scores td {{ padding: .1rem 0; }}
.answer .scores th {{ width: 8rem; }}
.answer .scores td:last-child {{ width: 3.5rem; text-align: right; font-variant-numeric: tabular-nums; }}
.answer .decided th, .answer .decided td {{ font-weight: 700; }}
.answer .bar {{ display: block; height: .8rem; border-radius: .2rem; background: #c3cbd3;
  width: calc(var(--score) * 100%); min-width: 2px; }}
.answer .decided .bar {{ background: #0072b2; }}
.answer h3 {{ font-size: 1.1rem; font-weight: 700; margin: 1.25rem 0 .25rem; padding-top: .75rem;
  border-top: 1px solid #d8dee4; }}
.answer p {{ margin: .25rem 0; }}
.answer details {{ margin: .5rem 0; }}
.answer summary {{ cursor: pointer; color: #005a8e; }}
.answer section table {{ border: 0 !important; border-collapse: collapse; font-size: .9rem; }}
.answer section th, .answer section td {{ padding: .1rem 1.5rem .1rem 0; }}
.answer .number {{ text-align: right; font-variant-numeric: tabular-nums; }}
"""


def render_answer(classifier: GenreClassifier, title: str, text: str, rule: str | None = None) -> str:
    """Return the genres of one description with all scores as bars, and its words coloured for each decided genre.

    The page needs `ANSWER_CSS`. All that is given is escaped.

    Args:
        classifier: whose answer it is.
        title: of the movie; may be empty.
        text: its description.
        rule: as in `GenreClassifier.predict`.

    Raises:
        ConfigError: there is no such rule.
    """
    movies = pl.DataFrame({"movie_id": ["this"], "movie_name": [title], "description": [text]})
    row = classifier.predict(movies, rule).row(0, named=True)
    scores = sorted(((genre, row[f"score_{genre}"]) for genre in classifier.genres), key=lambda pair: -pair[1])
    decided = row["genres"].split(", ") if row["genres"] else []
    by = f"{classifier.name}, by the rule {rule or classifier.rule}"
    return f"""<div class="answer">
<p class="verdict">{escape(row["genres"] or "None of the genres")}</p>
<p class="by">{escape(by)}</p>
{_render_scores(scores, decided)}
{_render_reasons(classifier, movies, rule) if decided else ""}
</div>"""


def _render_scores(scores: list[tuple[str, float]], decided: list[str]) -> str:
    first = [pair for rank, pair in enumerate(scores) if rank < SHOWN_LABELS or pair[0] in decided]
    others = [pair for pair in scores if pair not in first]
    rest = f"<details><summary>{len(others)} more genres</summary>{_render_bars(others, decided)}</details>"
    return _render_bars(first, decided) + (rest if others else "")


def _render_bars(scores: list[tuple[str, float]], decided: list[str]) -> str:
    rows = "\n".join(
        f'<tr{" class=decided" if genre in decided else ""}><th scope="row">{escape(genre)}'
        f'{" ✓" if genre in decided else ""}</th><td><span class="bar" style="--score:{score:.3f}"></span></td>'
        f"<td>{score:.2f}</td></tr>"
        for genre, score in scores
    )
    return f'<table class="scores"><tbody>\n{rows}\n</tbody></table>'


def _render_reasons(classifier: GenreClassifier, movies: pl.DataFrame, rule: str | None) -> str:
    table = explain_decided(classifier, movies, rule)
    full = strongest(table)
    genres = table.get_column("genre").unique(maintain_order=True).to_list()
    sections = [render_genre(texts_of(movies)[0], table.filter(pl.col("genre") == genre), full) for genre in genres]
    legend = coloured_html("raises lowers", [(0, 6, 1.0), (7, 13, -1.0)], 1.0)
    return "\n".join([*sections, f'<p class="legend">What each word does to the genre: {legend}, in log-odds.</p>'])


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
