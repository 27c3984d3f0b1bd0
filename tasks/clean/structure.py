"""Whether a CSV file can be read by a fast parser without losing anything. Owns the check; parses no field.

A fast parser forgives damage in silence: it fills short rows, may ignore surplus fields and guesses at stray quotes.
This check looks at nothing but commas, quotes and line ends, a block at a time, so it costs a fraction of the parsing.
"""

import codecs
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

# No listing field comes near this length (Python's csv module stops there, too): a longer record is most often a quote
# that nobody closed.
MAX_RECORD_BYTES: Final = 131_072
BLOCK_BYTES: Final = 128 * 1024  # what a block becomes fits a processor's cache

_COMMA, _QUOTE, _NEWLINE, _RETURN = b',"\n\r'
_TO_MARK = bytes(byte in b',"\n\r' for byte in range(256))  # a table for `bytes.translate`
_BEFORE_OPENING = np.zeros(256, dtype=np.bool_)
_BEFORE_OPENING[[_COMMA, _QUOTE, _NEWLINE]] = True
_AFTER_CLOSING = np.zeros(256, dtype=np.bool_)
_AFTER_CLOSING[[_COMMA, _QUOTE, _NEWLINE, _RETURN]] = True


def is_well_formed(path: Path, n_fields: int, block_bytes: int = BLOCK_BYTES) -> bool:
    """Tell whether each record has `n_fields` fields, closed quotes around whole fields only, and ends in LF or CRLF.

    A blank line, a lone carriage return and a record of more than `MAX_RECORD_BYTES` count as damage, too: parsers
    disagree about them. Invalid UTF-8 is not looked for; the parser reports it. Memory: a few blocks.
    """
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        return _all_records_are_whole(file, n_fields, block_bytes)


def _all_records_are_whole(file: BinaryIO, n_fields: int, block_bytes: int) -> bool:
    rest = b""
    while block := file.read(block_bytes):
        data = rest + block
        end = _end_of_whole_records(data, n_fields)
        if end is None:
            return False
        rest = data[end:]
        if len(rest) > MAX_RECORD_BYTES:
            return False
    if not rest:
        return True
    data = rest + b"\n"
    return _end_of_whole_records(data, n_fields) == len(data)


def _end_of_whole_records(block: bytes, n_fields: int) -> int | None:
    """Return where the last whole record of a block ends, or None if a record before that is damaged.

    The block begins at the beginning of a record.
    """
    positions = np.flatnonzero(np.frombuffer(block.translate(_TO_MARK), dtype=np.bool_))
    data = np.frombuffer(block, dtype=np.uint8)
    marks = data[positions]
    is_quote = marks == _QUOTE
    is_inside = np.bitwise_xor.accumulate(is_quote.view(np.uint8)).view(np.bool_)
    separators = np.flatnonzero(~(is_inside | is_quote))  # what stands outside of quotes
    if _RETURN in block:
        if not _returns_are_regular(data, positions[separators]):
            return None
        separators = separators[marks[separators] != _RETURN]
    ends = np.flatnonzero(marks[separators] == _NEWLINE)
    if not ends.size:
        return 0
    last = int(separators[ends[-1]])
    is_whole = (
        bool((np.diff(ends, prepend=-1) == n_fields).all())
        and int(np.diff(positions[separators[ends]], prepend=-1).max()) <= MAX_RECORD_BYTES
        and _quotes_are_regular(data, positions[:last][is_quote[:last]])
    )
    return int(positions[last]) + 1 if is_whole else None


def _quotes_are_regular(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp]) -> bool:
    """Tell whether each quote opens a field, closes one, or is half of a doubled quote inside one.

    The quotes are all of some whole records, so that a line end follows, and every second one is a closing one.
    """
    opening, closing = quotes[::2], quotes[1::2]
    opening = opening[opening > 0]
    return bool(_BEFORE_OPENING[data[opening - 1]].all() and _AFTER_CLOSING[data[closing + 1]].all())


def _returns_are_regular(data: npt.NDArray[np.uint8], separators: npt.NDArray[np.intp]) -> bool:
    """Tell whether each carriage return outside of quotes belongs to a CRLF, or is the last byte that is there."""
    returns = separators[data[separators] == _RETURN]
    followers = returns[returns < data.size - 1] + 1
    return bool((data[followers] == _NEWLINE).all())
