r"""What a description is worth: nothing, half a plot, or a whole one. Owns the patterns; changes and drops no text.

The crawl asks for what is not whole, and cleaning drops what is worth nothing: both have to mean the same by it. The
patterns are in the syntax of Rust's regex crate, which polars uses: no look-around, and `\x{130}` for a code point.
"""

from typing import Final

import polars as pl

NOTHING, TRUNCATED, WHOLE = "nothing", "truncated", "whole"

SPACE: Final = r"[\s\x1c-\x1f]"  # what `\s` matches in Python; Rust's lacks U+001C to U+001F
# Python's `\b` beside a letter, without look-around: Rust's own takes marks and joiners for letters, too.
_WORD_BEGINS: Final = r"(?:^|[^\p{L}\p{N}_])"
_WORD_ENDS: Final = r"(?:$|[^\p{L}\p{N}_])"


def any_case(pattern: str) -> str:
    """Return a lower-case pattern in any case as Python folds it, where `i` is also the dotted and the dotless one."""
    return "(?i)" + pattern.replace("i", r"[i\x{130}\x{131}]")


# What pandas reads as a missing value.
WORDS_FOR_NOTHING: Final = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip

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
EXACT_TAIL: Final = rf"\.{{3,}}{SPACE}*See full (?:summary|synopsis){SPACE}»\z"
ANY_TAIL: Final = rf"(?i){SPACE}*(?:\.{{2,}}|…)?{SPACE}*see full (?:summary|synopsis)(?:{SPACE}*(?:»|>>))?{SPACE}*\z"
CLOSING: Final = r"[\"'\x{2019}\x{201d})\]]*"
ELLIPSIS: Final = rf"(?:\.{{3,}}|…){CLOSING}{SPACE}*\z"

# Characters that nobody sees: controls, soft hyphens, zero-width spaces, direction marks, and U+FFFD, which stands for
# bytes lost before. The zero-width joiners U+200C and U+200D stay: they are spelling in Persian and Indic scripts.
INVISIBLE: Final = (
    r"[\x00-\x08\x0e-\x1b\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}"
    r"\x{2060}-\x{2064}\x{2066}-\x{2069}\x{feff}\x{fffd}]"
)
# A text that holds one of these says something to a reader.
VISIBLE: Final = rf"[^\s\x1c-\x1f{INVISIBLE[1:-1]}]"


def worth_of(description: pl.Expr) -> pl.Expr:
    """Return whether a description is worth `nothing`, or is a `truncated` or a `whole` plot.

    Nothing: null, nothing visible, a word for nothing such as "N/A", or a placeholder. Truncated: ends in three dots,
    an ellipsis, or the site's "See full summary".
    """
    text = description.fill_null("").str.strip_chars()
    is_nothing = (
        text.is_in(WORDS_FOR_NOTHING) | ~text.str.contains(VISIBLE) | text.str.contains(f"(?:{ANY_PLACEHOLDER})")
    )
    is_cut_off = text.str.contains(f"(?:{ANY_TAIL})|(?:{ELLIPSIS})")
    return pl.when(is_nothing).then(pl.lit(NOTHING)).when(is_cut_off).then(pl.lit(TRUNCATED)).otherwise(pl.lit(WHOLE))
