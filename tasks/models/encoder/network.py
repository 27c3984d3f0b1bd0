"""Texts as tokens, and an encoder with mean pooling and a linear head for genres."""

import math
from collections.abc import Callable, Sequence
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
CHARS_PER_TOKEN: Final = 40  # more than the average of any text in a natural language
SCORING_BATCH: Final = 64
HEAD_SCALE: Final = 0.1  # of the head's initial weights, relative to torch's linear layers
MIN_SHARE: Final = 1e-4  # of movies with a genre, for the head's initial bias


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
        """The number of tokens of each text."""
        return np.diff(self.starts)

    def of(self, row: int) -> NDArray[np.int32]:
        """Return the ids of one text."""
        return self.ids[self.starts[row] : self.starts[row + 1]]


def tokenise(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> Tokens:
    """Return the ids of each text, cut to `max_tokens` including the encoder's special tokens."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    max_chars = max_tokens * CHARS_PER_TOKEN  # the rest would be cut anyway, but tokenising it takes time
    rows: list[NDArray[np.int32]] = []
    n_truncated = 0
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        for text, encoded in zip(some, tokenizer.encode_batch([text[:max_chars] for text in some]), strict=True):
            rows.append(np.array(encoded.ids, dtype=np.int32))
            n_truncated += bool(encoded.overflowing) or len(text) > max_chars
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Tokens(np.concatenate([np.empty(0, np.int32), *rows]), starts, n_truncated)


def pad(rows: Sequence[NDArray[np.int32]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return the ids of some texts, (texts × longest), and a mask that is 0 in the padding."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(max(1, lengths.max())) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def padding_id(encoder: Any) -> int:
    """Return the token id that pads an encoder's texts."""
    return encoder.config.pad_token_id or 0


class GenreNetwork(nn.Module):
    """Token ids to one logit per genre."""

    def __init__(self, encoder: Any, n_genres: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, n_genres)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return (movies × genres) logits in float32."""
        logits: Tensor = self.head(self.dropout(mean_pool(self.encoder, input_ids, attention_mask)))
        return logits.float()


def new_network(encoder: Any, Y: NDArray[np.bool_], dropout: float, seed: int) -> GenreNetwork:
    """Return a network with a head initialised by the seed; its first scores are each genre's share in Y."""
    generator = torch.Generator().manual_seed(seed)  # parallel trainings share torch's global one
    network = GenreNetwork(encoder, Y.shape[1], dropout)
    limit = HEAD_SCALE / math.sqrt(network.head.in_features)
    share = np.clip(Y.mean(axis=0), MIN_SHARE, 1 - MIN_SHARE)
    with torch.no_grad():
        nn.init.uniform_(network.head.weight, -limit, limit, generator)
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share)).astype(np.float32)))
    return network


def mean_pool(encoder: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean of the last layer over all tokens but the padding, (movies × width)."""
    hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    pooled: Tensor = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
    return pooled


def layers_of(encoder: Any) -> list[nn.Module]:
    """Return the encoder's layers from the bottom up, under any name of their attribute."""
    count = encoder.config.num_hidden_layers
    lists = [module for module in encoder.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    return list(lists[0]) if lists else []


def check_length(encoder: Any, max_tokens: int) -> None:
    """Check that an encoder can read texts of `max_tokens`.

    Raises:
        ModelError: it has fewer positions.
    """
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa's positions start after it
            limit = module.num_embeddings - unused
            if max_tokens > limit:
                raise ModelError(f"the encoder reads at most {limit} tokens; lower max_tokens ({max_tokens})")


def choose_device() -> torch.device:
    """Return the GPU if torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training_precision(choices: FineTuning) -> str:
    """Return "float32" or "bfloat16": the chosen precision, for auto bfloat16 if the hardware multiplies in it."""
    if choices.precision != "auto":
        return choices.precision
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "float32"
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def compute_rows(
    what: str, compute: Callable[[Tensor, Tensor], Tensor], tokens: Tokens, pad_id: int, width: int
) -> NDArray[np.float32]:
    """Return a function's result on ids and mask of each text, (texts × width), without gradients and in batches."""
    result = np.empty((len(tokens), width), dtype=np.float32)
    progress = Progress(what, len(tokens))
    order = np.argsort(-tokens.lengths, kind="stable")  # batches of similar length; too large ones fail at once
    for start in range(0, len(order), SCORING_BATCH):
        rows = order[start : start + SCORING_BATCH]
        with torch.inference_mode():
            result[rows] = compute(*pad([tokens.of(row) for row in rows], pad_id)).float().cpu().numpy()
        progress.advance(len(rows))
    if len(tokens) > SCORING_BATCH:
        progress.finish()
    return result


def embed(what: str, encoder: Any, tokens: Tokens) -> NDArray[np.float32]:
    """Return an encoder's pooled output for each text, (texts × width)."""
    device = choose_device()
    encoder = encoder.to(device).eval()
    return compute_rows(
        what,
        lambda ids, mask: mean_pool(encoder, ids.to(device), mask.to(device)),
        tokens,
        padding_id(encoder),
        encoder.config.hidden_size,
    )
