"""Patterns and expressions for descriptions and names. Owns what a signature, an entity and an odd space look like.

Knows no order of rules; placeholders and tails are in `tasks.placeholders`. The patterns are in the syntax of Rust's
regex crate, which polars uses: no look-around.
"""

import html
import html.entities
import re
from typing import Final

import polars as pl

from tasks.placeholders import CLOSING, SPACE

# What `str.strip` strips in Python, and what `\s` matches there.
SPACES: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())

# The earlier system's: from the first em dash after the last line break to the end, whatever it is.
FROM_LAST_EM_DASH: Final = r"—[^\n]*\z"
# An author: an em dash at the beginning, after a line break or after the end of a sentence, then nothing but one
# nickname or up to eight words of a name, and perhaps an address in brackets. A name's words begin with a capital, a
# digit or a letter of a script without case, or are particles; it does not end like a sentence.
_NAME_WORD: Final = (
    r"(?:(?:\p{Lu}\.)+|(?:Jr|Sr|St|Dr|Mr|Ms|Mrs)\.|d[aeiu]|de[lnr]|el|la|le|v[ao]n|of|the|and|&|y|e"
    r"|[\p{Lu}\p{Lt}\p{Lo}\p{N}][\p{L}\p{M}\p{N}'\x{2019}_-]*(?:\.[\p{L}\p{N}]+)*)"
)
_NAME: Final = rf"{_NAME_WORD}(?:,?{SPACE}+{_NAME_WORD}){{0,7}}"
_NICKNAME: Final = r"[^\s—,;:!?…]{0,39}[^\s—,;:.!?…]"
_ADDRESS: Final = r"[<({\[][^\s<>(){}\[\]]{1,60}[>)}\]]"
SIGNATURE: Final = (
    rf"(^|\n|[.!?…]{CLOSING}){SPACE}*—{SPACE}*"
    rf"(?:(?:{_NAME}|{_NICKNAME})(?:{SPACE}*{_ADDRESS})?|{_ADDRESS}){SPACE}*\z"
)

ODD_SPACE: Final = rf"{SPACE}{{2,}}|[^\S ]|[\x1c-\x1f]"
UNTIDY_SPACE: Final = rf"{ODD_SPACE}|^ | \z"  # what `tidy_spaces` changes
ENTITY: Final = r"&(?:amp;)*(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"


def tidy_spaces(text: pl.Expr) -> pl.Expr:
    """Make every run of spaces and line breaks one space and strip the ends."""
    return text.str.replace_all(ODD_SPACE, " ").str.strip_chars(" ")


def unescape_entities(texts: pl.Series) -> pl.Series:
    """Replace HTML entities by their characters, also those that were escaped twice, such as `&amp;quot;`.

    Names that HTML does not know stay. Each distinct entity is looked up once, whatever the number of texts.
    """
    with_ampersand = texts.filter(texts.str.contains("&", literal=True))
    found = with_ampersand.str.extract_all(ENTITY).explode().drop_nulls().unique()
    longest_first = sorted(found, key=lambda entity: (-len(entity), entity))  # `&amp;quot;` before the `&amp;` in it
    characters = {entity: _character(entity) for entity in longest_first}
    if not characters:
        return texts
    return texts.to_frame("text").select(pl.col("text").str.replace_many(characters, leftmost=True)).to_series()


def _character(entity: str) -> str:
    once = re.sub("^&(?:amp;)+", "&", entity)
    if once.startswith("&#"):
        return html.unescape(once)
    return html.entities.html5.get(once[1:], once)
