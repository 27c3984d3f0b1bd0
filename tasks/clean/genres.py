"""Sets of genres as bits, so that a union over many rows is one integer operation. Owns their texts."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from tasks import schema

_BITS: Final = 63  # of a signed 64-bit integer, the sign left alone
_SITE_GENRES: Final = (*schema.GENRES, *schema.EXCLUDED_GENRES)
_ANY_SITE_GENRE: Final = f"(?:{'|'.join(pl.escape_regex(name) for name in _SITE_GENRES)})"
# A genre text that is spelled as on the site throughout, as almost all are.
SITE_TEXT: Final = rf"\A\s*{_ANY_SITE_GENRE}(?:\s*,\s*{_ANY_SITE_GENRE})*\s*\z"


def spell_as_site(text: pl.Expr) -> pl.Expr:
    """Spell those genres of a text that differ from the site's in case or spaces alone as the site does."""
    name = pl.element()
    spelling = name.str.replace_all(r"\s", "").str.to_lowercase()
    spelling = spelling.replace_strict({site.lower(): site for site in _SITE_GENRES}, default=None)
    spelled = pl.when(spelling != name.str.strip_chars()).then(spelling).otherwise(name)  # any other genre stays
    return text.str.split(",").list.eval(spelled).list.join(",")


class GenreCoder:
    """Turn genre texts such as `Action, Sci-Fi` into integer columns `genres_0`, `genres_1`, ... and back into lists.

    One column holds 63 genres; there are as many columns as the texts need.
    """

    def __init__(self, texts: pl.Series) -> None:
        """Learn the genres of some texts, repeated or not; each distinct text is parsed once."""
        distinct = texts.unique().sort()
        split = [_split(text) for text in distinct]
        self.names = sorted(set().union(*split))
        self.codes = {name: 1 << index for index, name in enumerate(self.names)}
        self.columns = [f"genres_{word}" for word in range(max(1, -(-len(self.names) // _BITS)))]
        self.bits = self._in_columns([sum(self.codes[name] for name in names) for names in split])
        self.bits.insert_column(0, distinct.alias("genre"))

    def encode(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Replace the column `genre` by the integer columns; the order of the rows stays."""
        bits = rows.select("genre").join(self.bits, on="genre", how="left", maintain_order="left")
        return rows.drop("genre").hstack(bits.drop("genre"))

    def decode(self, movies: pl.DataFrame) -> pl.DataFrame:
        """Replace the integer columns by `genres`, sorted lists of names; each distinct set is spelled out once."""
        distinct = movies.select(self.columns).unique()
        sets = [sum(bits << (_BITS * word) for word, bits in enumerate(row)) for row in distinct.iter_rows()]
        lists = pl.Series("genres", [self._names(bits) for bits in sets], pl.List(pl.String))
        joined = movies.join(distinct.with_columns(lists), on=self.columns, how="left", maintain_order="left")
        return joined.drop(self.columns)

    def _in_columns(self, sets: Sequence[int]) -> pl.DataFrame:
        word = (1 << _BITS) - 1
        return pl.DataFrame(
            {column: [bits >> (_BITS * place) & word for bits in sets] for place, column in enumerate(self.columns)},
            schema=dict.fromkeys(self.columns, pl.Int64),
        )

    def _names(self, bits: int) -> list[str]:
        return [name for name in self.names if bits & self.codes[name]]


def _split(text: str) -> set[str]:
    return {name.strip() for name in text.split(",")} - {""}
