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
BLOCK_BYTES: Final = 1024 * 1024  # what a block becomes fits a processor's cache

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
    is_inside = np.cumsum(marks == _QUOTE) & 1  # after the mark; a comma or a line end does not change it
    ends = np.flatnonzero((marks == _NEWLINE) & (is_inside == 0))
    if not ends.size:
        return 0
    last = int(ends[-1]) + 1
    positions, marks, is_inside = positions[:last], marks[:last], is_inside[:last]
    end = int(positions[-1]) + 1
    n_commas = np.cumsum((marks == _COMMA) & (is_inside == 0))[ends]
    is_whole = (
        bool((np.diff(n_commas, prepend=0) == n_fields - 1).all())
        and int(np.diff(positions[ends], prepend=-1).max()) <= MAX_RECORD_BYTES
        and _quotes_are_regular(data[:end], positions, marks, is_inside)
        and _returns_are_regular(data[:end], positions, marks, is_inside)
    )
    return end if is_whole else None


def _quotes_are_regular(
    data: npt.NDArray[np.uint8],
    positions: npt.NDArray[np.intp],
    marks: npt.NDArray[np.uint8],
    is_inside: npt.NDArray[np.intp],
) -> bool:
    """Tell whether each quote opens a field, closes one, or is half of a doubled quote inside one."""
    opening = positions[(marks == _QUOTE) & (is_inside == 1)]
    closing = positions[(marks == _QUOTE) & (is_inside == 0)]
    opening = opening[opening > 0]
    # The block ends with a line end, so that every closing quote has a next byte.
    return bool(_BEFORE_OPENING[data[opening - 1]].all() and _AFTER_CLOSING[data[closing + 1]].all())


def _returns_are_regular(
    data: npt.NDArray[np.uint8],
    positions: npt.NDArray[np.intp],
    marks: npt.NDArray[np.uint8],
    is_inside: npt.NDArray[np.intp],
) -> bool:
    """Tell whether each carriage return outside of quotes belongs to a CRLF."""
    returns = positions[(marks == _RETURN) & (is_inside == 0)]
    return bool((data[returns + 1] == _NEWLINE).all())
