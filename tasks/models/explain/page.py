"""Explanations as one page that needs no network and no other file. Owns its HTML; all text from data is escaped."""

from collections.abc import Sequence
from html import escape
from typing import Final

import polars as pl

from tasks.coloured import COLOURED_CSS, coloured_html, signed
from tasks.decision.calibration import logistic
from tasks.models.explain.pieces import TEXTS, texts_of
from tasks.models.explain.table import REST, Reason, reasons, strongest

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
