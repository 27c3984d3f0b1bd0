"""What a training is fed: texts with their genres, in batches of like length. Owns their form and order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from tasks.models.encoder.tokens import Tokens, padded

BATCHES_SORTED_TOGETHER: Final = 50


@dataclass(frozen=True)
class LabelledTokens(Dataset[dict[str, Any]]):
    """Texts as ids with their genres, (texts × genres)."""

    tokens: Tokens
    Y: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"ids": self.tokens.of(row), "labels": self.Y[row]}


def collate(items: Sequence[dict[str, Any]], pad_id: int) -> dict[str, Tensor]:
    """Return items of a dataset as one batch, padded to the longest."""
    lengths = [len(item["ids"]) for item in items]
    tokens = Tokens(np.concatenate([item["ids"] for item in items]), np.concatenate([[0], np.cumsum(lengths)]), 0)
    ids, mask = padded(tokens, np.arange(len(items)), pad_id)
    labels = torch.from_numpy(np.stack([item["labels"] for item in items]).astype(np.float32))
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), "labels": labels}


class LengthBuckets(Sampler[int]):
    """Rows in batches of like length, in an order drawn anew each epoch.

    Some batches' rows, drawn at random, are sorted by length and cut into batches, and these are shuffled: little
    padding, and no drift from long to short texts.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.lengths))
        batches: list[NDArray[np.int64]] = []
        together = self.batch_size * BATCHES_SORTED_TOGETHER
        for start in range(0, len(order), together):
            rows = order[start : start + together]
            rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
            batches += [rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)]
        short = [batch for batch in batches if len(batch) < self.batch_size]  # last, so that no other batch is cut
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for number in generator.permutation(len(full)):
            yield from full[number].tolist()
        for batch in short:
            yield from batch.tolist()
