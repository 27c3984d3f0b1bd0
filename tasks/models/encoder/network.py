"""An encoder with mean pooling, and a linear head for genres on it. Owns the computation; trains nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.core.errors import ModelError
from tasks.core.logs import Progress
from tasks.models.spec import FineTuning

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


SCORING_BATCH: Final = 64


class GenreNetwork(nn.Module):
    """Token ids to a logit a genre."""

    def __init__(self, encoder: Any, n_genres: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, n_genres)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return (movies × genres) logits in float32."""
        pooled = mean_pool(self.encoder, input_ids, attention_mask)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits.float()


def mean_pool(encoder: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean of the last layer over the tokens that are no padding, (movies × width)."""
    hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    pooled: Tensor = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
    return pooled


def layers_of(encoder: Any) -> list[nn.Module]:
    """Return the encoder's layers from the bottom up, whatever their class calls them."""
    count = encoder.config.num_hidden_layers
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    return list(lists[0]) if lists else []


def check_length(encoder: Any, max_tokens: int) -> None:
    """Make sure that an encoder can read texts of so many tokens.

    Raises:
        ModelError: it has not as many positions.
    """
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            before = 0 if module.padding_idx is None else module.padding_idx + 1  # where RoBERTa begins to count
            most = module.num_embeddings - before
            if max_tokens > most:
                raise ModelError(f"the encoder reads {most} tokens of a text at most; lower max_tokens ({max_tokens})")


def choose_device() -> torch.device:
    """Return a GPU if torch finds one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return what to call the device that is chosen."""
    return torch.cuda.get_device_name() if choose_device().type == "cuda" else "the processor"


def uses_bfloat16(choices: FineTuning) -> bool:
    """Tell whether training multiplies in bfloat16: as chosen, or where the device does so in hardware."""
    if choices.precision != "auto":
        return choices.precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def precision_of(choices: FineTuning) -> str:
    """Return the name of the precision that training multiplies in."""
    return "bfloat16" if uses_bfloat16(choices) else "float32"


def compute_rows(
    what: str, compute: Callable[[Tensor, Tensor], Tensor], tokens: Tokens, pad_id: int, width: int
) -> NDArray[np.float32]:
    """Return what a function of ids and mask gives for each text, (texts × width), batches of like length at a time."""
    result = np.empty((len(tokens), width), dtype=np.float32)
    progress = Progress(what, len(tokens))
    for rows, ids, mask in _batches(tokens, pad_id):
        result[rows] = compute(ids, mask).float().cpu().numpy()
        progress.advance(len(rows))
    if len(tokens) > SCORING_BATCH:
        progress.finish()
    return result


def _batches(tokens: Tokens, pad_id: int) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
    for rows in batches_by_length(tokens, SCORING_BATCH):
        ids, mask = padded(tokens, rows, pad_id)
        yield rows, torch.from_numpy(ids), torch.from_numpy(mask)
