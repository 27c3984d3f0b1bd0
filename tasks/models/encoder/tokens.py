"""Texts as an encoder's token ids, and batches of like length. Owns truncation and padding; knows no network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TEXTS_AT_ONCE: Final = 2_000  # bounds the memory of tokenising
CHARS_A_TOKEN: Final = 40  # more than tokens of any text in a natural language have on average


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, one after another: those of text i are `ids[starts[i]:starts[i + 1]]`."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    n_truncated: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each text has."""
        return np.diff(self.starts)

    def of(self, row: int) -> NDArray[np.int32]:
        """Return the ids of one text."""
        return self.ids[self.starts[row] : self.starts[row + 1]]


def tokenise(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> Tokens:
    """Return each text's ids, cut to `max_tokens`, the encoder's own marks at both ends included."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    most_chars = max_tokens * CHARS_A_TOKEN
    pieces: list[NDArray[np.int32]] = []
    n_truncated = 0
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        # What is beyond would be cut anyway, and cost time before.
        for text, encoded in zip(some, tokenizer.encode_batch([text[:most_chars] for text in some]), strict=True):
            pieces.append(np.array(encoded.ids, dtype=np.int32))
            n_truncated += bool(encoded.overflowing) or len(text) > most_chars
    lengths = [len(piece) for piece in pieces]
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Tokens(np.concatenate([np.empty(0, np.int32), *pieces]), starts, n_truncated)


def batches_by_length(tokens: Tokens, size: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows, `size` at a time, the longest first: what is padded least, and runs out of memory at once if ever."""
    order = np.argsort(-tokens.lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def padded(tokens: Tokens, rows: NDArray[np.int64], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of rows as one array, and where in it there is text (1) and padding (0)."""
    lengths = tokens.lengths[rows]
    ids = np.full((len(rows), int(lengths.max(initial=1))), pad_id, dtype=np.int64)
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    ids[mask.astype(bool)] = np.concatenate([tokens.of(row) for row in rows])
    return ids, mask
