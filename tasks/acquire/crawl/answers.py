"""What a source said about an id. Owns the states of an answer, and the judgement of texts; knows no source.

A text is judged by the same patterns as in cleaning, and stored as it came but for what no file should hold.
"""

import html
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import polars as pl

from tasks.placeholders import NOTHING, TRUNCATED, WHOLE, worth_of
from tasks.schema import MovieId

State = Literal["ok", "truncated", "no_plot", "not_found", "bad_payload", "failed"]
NEGATIVE: Final = ("truncated", "no_plot", "not_found", "bad_payload")  # settled for some time; `ok` is for good

MAX_CHARS: Final = 30_000  # more than any plot; four times as many bytes still fit a CSV field
MAX_DETAIL_CHARS: Final = 200
# Controls but for tab, line feed and next line, and surrogates, which have no UTF-8.
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Answer:
    """One state of one id at one source."""

    state: State
    description: str | None = None  # with ok and truncated
    detail: str = ""  # why, for people

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", make_fit(self.detail)[:MAX_DETAIL_CHARS])


def make_fit(text: str) -> str:
    r"""Return a text that every file can hold: line ends as `\n`, no controls, no lone surrogates, no outer spaces.

    >>> make_fit("one\r\ntwo\x00\ud83d ")
    'one\ntwo'
    """
    return _UNFIT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


class _Judged(NamedTuple):
    text: str
    worth: str


def judge_plots(plots: Mapping[MovieId, Iterable[str]], asked: Collection[MovieId]) -> dict[MovieId, Answer]:
    """Return one answer for each id that was asked for, by what texts the source has, the best first.

    The first whole text is the plot; else the longest truncated one. An id of which the source says nothing is not
    found; one without a text that says anything has no plot. Ids that nobody asked for are left out.
    """
    judged: dict[MovieId, list[_Judged]] = {movie_id: [] for movie_id in asked if movie_id in plots}
    texts = [(movie_id, make_fit(text)) for movie_id in judged for text in plots[movie_id]]
    readable = pl.Series([html.unescape(text) for _, text in texts], dtype=pl.String)
    worths = readable.to_frame("text").select(worth_of(pl.col("text"))).to_series()
    for (movie_id, text), worth in zip(texts, worths, strict=True):
        judged[movie_id].append(_Judged(text, worth))
    return {movie_id: _choose(judged.get(movie_id)) for movie_id in asked}


def _choose(texts: list[_Judged] | None) -> Answer:
    if texts is None:
        return Answer("not_found")
    fitting = [text for text in texts if len(text.text) <= MAX_CHARS]
    for text in fitting:
        if text.worth == WHOLE:
            return Answer("ok", text.text)
    cut_off = [text.text for text in fitting if text.worth == TRUNCATED]
    if cut_off:
        return Answer("truncated", max(cut_off, key=len))
    if any(text.worth != NOTHING for text in texts):
        return Answer("bad_payload", detail=f"a text of more than {MAX_CHARS:,} characters")
    return Answer("no_plot")
