"""Patterns and expressions for descriptions and names. Owns what a placeholder, a tail or a signature looks like.

Knows no order of rules. The patterns are in the syntax of Rust's regex crate, which polars uses: no look-around.
"""

import html
import html.entities
import re
from typing import Final

import polars as pl

# What `str.strip` strips and `\s` matches in Python. Rust's `\s` lacks U+001C to U+001F.
SPACES: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_SPACE: Final = r"[\s\x1c-\x1f]"
# Python's `\b` beside a letter, without look-around: Rust's own takes marks and joiners for letters, too.
_WORD_BEGINS: Final = r"(?:^|[^\p{L}\p{N}_])"
_WORD_ENDS: Final = r"(?:$|[^\p{L}\p{N}_])"


def any_case(pattern: str) -> str:
    """Return a lower-case pattern in any case as Python folds it, where `i` is also the dotted and the dotless one."""
    return "(?i)" + pattern.replace("i", r"[i\x{130}\x{131}]")


# The eleven placeholders of the earlier system. `.` stops at a line break.
PLACEHOLDERS: Final = {
    "add_a_plot": any_case("add a plot"),
    "under_wraps": any_case(f"{_WORD_BEGINS}under wrap"),
    "plot_unknown": any_case("plot.*unknown"),
    "plot_undisclosed": any_case("plot.*undisclosed"),
    "in_development": any_case("in development"),
    "no_plot": any_case("^no plot"),
    "tba": any_case(f"{_WORD_BEGINS}tba{_WORD_ENDS}"),
    "coming_soon": any_case("^coming soon"),
    "not_available": any_case("^not available|(?:plot|outline|details|story).*not available"),
    "not_disclosed": any_case("^not disclosed|(?:plot|outline|details|story).*not disclosed"),
    "unavailable": any_case("(?:plot|story|synopsis).*unavailable"),
}
ANY_PLACEHOLDER: Final = "|".join(f"(?:{pattern})" for pattern in PLACEHOLDERS.values())

# The site's own tail of a shortened text, exactly; and however else it was written or copied.
EXACT_TAIL: Final = rf"\.{{3,}}{_SPACE}*See full (?:summary|synopsis){_SPACE}»\z"
ANY_TAIL: Final = (
    rf"(?i){_SPACE}*(?:\.{{2,}}|…)?{_SPACE}*see full (?:summary|synopsis)(?:{_SPACE}*(?:»|>>))?{_SPACE}*\z"
)
_CLOSING: Final = r"[\"'\x{2019}\x{201d})\]]*"
ELLIPSIS: Final = rf"(?:\.{{3,}}|…){_CLOSING}{_SPACE}*\z"

# The earlier system's: from the first em dash after the last line break to the end, whatever it is.
FROM_LAST_EM_DASH: Final = r"—[^\n]*\z"
# An author: an em dash at the beginning, after a line break or after the end of a sentence, then nothing but one
# nickname or up to eight words of a name, and perhaps an address in brackets. A name's words begin with a capital, a
# digit or a letter of a script without case, or are particles; it does not end like a sentence.
_NAME_WORD: Final = (
    r"(?:(?:\p{Lu}\.)+|(?:Jr|Sr|St|Dr|Mr|Ms|Mrs)\.|d[aeiu]|de[lnr]|el|la|le|v[ao]n|of|the|and|&|y|e"
    r"|[\p{Lu}\p{Lt}\p{Lo}\p{N}][\p{L}\p{M}\p{N}'\x{2019}_-]*(?:\.[\p{L}\p{N}]+)*)"
)
_NAME: Final = rf"{_NAME_WORD}(?:,?{_SPACE}+{_NAME_WORD}){{0,7}}"
_NICKNAME: Final = r"[^\s—,;:!?…]{0,39}[^\s—,;:.!?…]"
_ADDRESS: Final = r"[<({\[][^\s<>(){}\[\]]{1,60}[>)}\]]"
SIGNATURE: Final = (
    rf"(^|\n|[.!?…]{_CLOSING}){_SPACE}*—{_SPACE}*"
    rf"(?:(?:{_NAME}|{_NICKNAME})(?:{_SPACE}*{_ADDRESS})?|{_ADDRESS}){_SPACE}*\z"
)

# Characters that nobody sees: controls, soft hyphens, zero-width spaces, direction marks, and U+FFFD, which stands for
# bytes lost before. The zero-width joiners U+200C and U+200D stay: they are spelling in Persian and Indic scripts.
INVISIBLE: Final = (
    r"[\x00-\x08\x0e-\x1b\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}"
    r"\x{2060}-\x{2064}\x{2066}-\x{2069}\x{feff}\x{fffd}]"
)
ODD_SPACE: Final = rf"{_SPACE}{{2,}}|[^\S ]|[\x1c-\x1f]"
UNTIDY_SPACE: Final = rf"{ODD_SPACE}|^ | \z"  # what `tidy_spaces` changes
# A text that holds one of these says something to a reader.
VISIBLE: Final = rf"[^\s\x1c-\x1f{INVISIBLE[1:-1]}]"
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
