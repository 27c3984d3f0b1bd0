"""An explanation in the terminal: words coloured by what they contribute. Owns colours there; knows no model."""

import polars as pl
from rich.console import Console
from rich.text import Text

from flows.config import PredictConfig
from tasks.coloured import LEAST_SHARE, share_of
from tasks.models.classifier import GenreClassifier
from tasks.models.explain.page import say_reasons
from tasks.models.explain.pieces import TEXTS, texts_of
from tasks.models.explain.table import strongest
from tasks.models.explain.write_page import write_page
from tasks.paths import data_paths

# Of words that raise and words that lower, from hardly to strongly: those of `tasks.coloured`, as a terminal has them.
RAISES = ((214, 234, 245), (64, 150, 200))
LOWERS = ((252, 238, 207), (233, 170, 40))
INK = "#111111"


def print_explained(classifier: GenreClassifier, movies: pl.DataFrame, config: PredictConfig) -> None:
    """Print why the movies get their genres, and write the page about it."""
    target = config.explained or data_paths().results / "explained.html"
    table = write_page(classifier, movies, config.rule, target)
    console = Console(highlight=False)
    if table.filter(pl.col("source").is_in(TEXTS), pl.col("contribution") != 0).is_empty():
        console.print("\nNo word of the text says anything to the model.", soft_wrap=True)
    for texts in texts_of(movies):
        for (genre,), rows in table.group_by("genre", maintain_order=True):
            console.print(Text(f"\n{genre}", style="bold"), Text(say_reasons(rows)), sep="\n", soft_wrap=True)
            for text, source in zip(texts, TEXTS, strict=True):
                if text:
                    console.print(coloured_text(text, rows.filter(pl.col("source") == source), strongest(table)))
    console.print(Text(f"\nblue raises, orange lowers; as a page: {target}", style="dim"), soft_wrap=True)


def coloured_text(text: str, rows: pl.DataFrame, full: float) -> Text:
    """Return a text for the terminal, the pieces in the rows (`schema.EXPLANATIONS`) coloured by their contribution."""
    coloured = Text(text)
    for start, end, contribution in rows.select("start", "end", "contribution").iter_rows():
        share = share_of(contribution, full)
        if share >= LEAST_SHARE:
            weak, strong = RAISES if contribution > 0 else LOWERS
            mixed = [round(low + share * (high - low)) for low, high in zip(weak, strong, strict=True)]
            coloured.stylize(f"{INK} on rgb({mixed[0]},{mixed[1]},{mixed[2]})", start, end)
    return coloured
