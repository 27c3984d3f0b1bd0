"""Explanations in a terminal."""

import io

import polars as pl
from rich.console import Console

from flows.predict import highlight
from tasks.core.schema import EXPLANATIONS


def rows(*spans):
    columns = {
        "start": [s for s, _, _ in spans],
        "end": [e for _, e, _ in spans],
        "contribution": [c for *_, c in spans],
    }
    return pl.DataFrame(columns, schema={name: EXPLANATIONS[name] for name in columns})


def test_words_are_coloured_by_sign_and_markup_is_text():
    text = highlight("[bold]ghosts wed", rows((6, 12, 2.0), (13, 16, -1.0)), 2.0)
    assert text.plain == "[bold]ghosts wed"
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles["ghosts"].endswith("rgb(64,150,200)")
    red, green, blue = map(int, styles["wed"].split("rgb(")[1].strip(")").split(","))
    assert red > green > blue


def test_without_colours_the_text_is_as_it_was():
    console = Console(file=io.StringIO(), width=80)
    console.print(highlight("ghosts wed", rows((0, 6, 2.0)), 2.0))
    assert console.file.getvalue() == "ghosts wed\n"
