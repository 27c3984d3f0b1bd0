"""An encoder with mean pooling, and a linear head for genres on it. Owns the computation; trains nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.errors import ModelError
from tasks.models.encoder.tokens import Tokens, batches_by_length, padded
from tasks.models.fine_tuning import FineTuning
from tasks.progress import Progress

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
