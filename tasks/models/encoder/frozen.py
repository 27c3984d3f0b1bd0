"""Documents as the pooled output of an encoder that is not trained here. Owns the vectors and how they are stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from tasks.models.encoder import store
from tasks.models.encoder.network import check_length, choose_device, compute_rows, mean_pool
from tasks.models.encoder.tokens import tokenise
from tasks.models.representation.kinds import REPRESENTATION_FILE
from tasks.models.representations import FrozenEncoder


class FrozenVectors:
    """The mean of an encoder's last layer over a document's tokens, of length 1 (times the representation's weight).

    Computed in float32. A document's vector does not depend on the others but for the last digits, which depend on
    how long the documents of its batch are.
    """

    def __init__(self, spec: FrozenEncoder) -> None:
        self.spec = spec
        self.network: Any = None
        self.tokenizer: Any = None

    @property
    def feature_names(self) -> Sequence[str]:
        """The dimensions, numbered; none has a meaning of its own."""
        return [f"{self.spec.label}:{dimension}" for dimension in range(self.network.config.hidden_size)]

    def fit(self, documents: Sequence[str], Y: NDArray[np.bool_], seed: int) -> Self:
        """Load the encoder; nothing is learnt from the documents.

        Raises:
            ModelError: the encoder cannot be had, is damaged, or reads fewer tokens than it should.
        """
        del documents, Y, seed
        torch.set_num_threads(1)  # representations are made side by side; each keeps to its own core
        folder = store.find_encoder(self.spec.encoder)
        self.network, self.tokenizer = store.load_network(folder), store.load_tokenizer(folder)
        check_length(self.network, self.spec.max_tokens)
        return self

    def transform(self, documents: Sequence[str]) -> sparse.csr_array:
        """Return (documents × width) float32."""
        device = choose_device()
        network = self.network.to(device)
        tokens = tokenise(documents, self.tokenizer, self.spec.max_tokens)
        with torch.inference_mode():
            pooled = compute_rows(
                f"embed by {self.spec.encoder}",
                lambda ids, mask: mean_pool(network, ids.to(device), mask.to(device)),
                tokens,
                network.config.pad_token_id or 0,
                network.config.hidden_size,
            )
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        vectors = pooled / np.maximum(lengths, np.finfo(np.float32).tiny) * np.float32(self.spec.weight)
        return sparse.csr_array(vectors)

    def save(self, folder: Path) -> None:
        """Write the files that `representation.kinds.vector_files` names into a folder that exists."""
        (folder / REPRESENTATION_FILE).write_text(self.spec.model_dump_json() + "\n", encoding="utf-8")
        store.save_encoder(self.network, self.tokenizer, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        loaded = cls(FrozenEncoder.model_validate_json((folder / REPRESENTATION_FILE).read_text(encoding="utf-8")))
        loaded.network, loaded.tokenizer = store.load_network(folder), store.load_tokenizer(folder)
        return loaded
