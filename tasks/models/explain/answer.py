"""What a model says of one text, as a piece of HTML: genres, scores, and the words that made them. Owns its markup."""

from html import escape
from typing import Final

import polars as pl

from tasks.coloured import COLOURED_CSS, coloured_html
from tasks.models.classifier import GenreClassifier
from tasks.models.explain.page import render_genre
from tasks.models.explain.pieces import texts_of
from tasks.models.explain.table import explain_decided, strongest

SHOWN: Final = 8  # genres with their bars; the others unfold

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
    first = [pair for rank, pair in enumerate(scores) if rank < SHOWN or pair[0] in decided]
    others = [pair for pair in scores if pair not in first]
    rest = f"<details><summary>{len(others)} more genres</summary>{_render_table(others, decided)}</details>"
    return _render_table(first, decided) + (rest if others else "")


def _render_table(scores: list[tuple[str, float]], decided: list[str]) -> str:
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
