"""Side fields of a listing out of their texts. Owns the expressions that parse them; knows no file and no model.

A foundation: cleaning parses whole listings, models parse what they are given to classify, in the same way. A text
that cannot be parsed becomes null.
"""

import polars as pl


def year(raw: pl.Expr) -> pl.Expr:
    """Parse a year of 1800 to 2199, wherever it stands: `I`, `II` ... (which namesake) hold none."""
    return raw.str.extract(r"(?-u:\b)(1[89][0-9]{2}|2[01][0-9]{2})(?-u:\b)").cast(pl.Int32)


def runtime_min(raw: pl.Expr) -> pl.Expr:
    """Parse minutes: `1,040 min` is 1040."""
    digits = raw.str.extract(r"^\s*([0-9][0-9,]*)\s*min\s*$").str.replace_all(",", "", literal=True)
    return digits.cast(pl.Int32, strict=False)


def certificate(raw: pl.Expr) -> pl.Expr:
    """Strip a certificate; a blank one is null."""
    stripped = raw.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def people(raw: pl.Expr) -> pl.Expr:
    """Split names at a comma and line break, so that `Ann Other, Jr.` stays one name; no names, or null, are `[]`."""
    names = raw.str.split(r",\s*\n", literal=False).list.eval(pl.element().str.strip_chars())
    return names.list.filter(pl.element() != "").fill_null([])
