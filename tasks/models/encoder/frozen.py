"""Texts as the pooled output of an encoder that is not trained here, as a scikit-learn transformer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted


class FrozenEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The mean of an encoder's last layer over a document's tokens, of length 1 (times `weight`).

    Computed in float32. A document's vector does not depend on the others but for the last digits, which depend on
    how long the documents of its batch are.

    Attributes:
        config_: the encoder's configuration, as JSON.
        weights_: its weights by name, float32.
        tokenizer_: its tokenizer, as JSON.
    """

    def __init__(
        self,
        encoder: Annotated[
            str, Field(description="minilm (embedded), a folder, or a name on the Hugging Face hub.")
        ] = "minilm",
        max_tokens: Annotated[int, Field(ge=8, description="Tokens of a text beyond which it is cut.")] = 128,
        weight: Annotated[PositiveFloat, Field(description="Length of a movie's vector.")] = 1.0,
    ) -> None:
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.weight = weight

    @property
    def label(self) -> str:
        """What it is, in the name of a folder."""
        return f"frozen_{Path(self.encoder).name}"

    def fit(self, X: Any, y: Any = None) -> Self:
        """Load the encoder; nothing is learnt from the documents.

        Raises:
            ModelError: the encoder cannot be had, is damaged, or reads fewer tokens than it should.
        """
        del X, y
        import torch  # noqa: PLC0415 - takes seconds, as what imports it does

        from tasks.models.encoder import store  # noqa: PLC0415
        from tasks.models.encoder.network import check_length  # noqa: PLC0415

        torch.set_num_threads(1)  # representations are made side by side; each keeps to its own core
        folder = store.find_encoder(self.encoder)
        network, tokenizer = store.load_network(folder), store.load_tokenizer(folder)
        check_length(network, self.max_tokens)
        self.config_, self.weights_ = store.to_plain(network)
        self.tokenizer_ = tokenizer.to_str()
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Return (documents × width) float32."""
        import torch  # noqa: PLC0415 - as above

        from tasks.models.encoder.network import choose_device, compute_rows, mean_pool, tokenise  # noqa: PLC0415

        device = choose_device()
        network, tokenizer = self.parts()
        network = network.to(device)
        documents: Sequence[str] = list(X)
        tokens = tokenise(documents, tokenizer, self.max_tokens)
        with torch.inference_mode():
            pooled = compute_rows(
                f"embed by {self.encoder}",
                lambda ids, mask: mean_pool(network, ids.to(device), mask.to(device)),
                tokens,
                network.config.pad_token_id or 0,
                network.config.hidden_size,
            )
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        vectors = pooled / np.maximum(lengths, np.finfo(np.float32).tiny) * np.float32(self.weight)
        return sparse.csr_array(vectors)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the dimensions, numbered; none has a meaning of its own."""
        del input_features
        network, _ = self.parts()
        return np.array([f"{self.label}:{number}" for number in range(network.config.hidden_size)], dtype=object)

    def parts(self) -> tuple[Any, Any]:
        """Return the network and the tokenizer, which are made when they are first asked for."""
        check_is_fitted(self)
        if not hasattr(self, "_parts"):
            from tokenizers import Tokenizer  # noqa: PLC0415

            from tasks.models.encoder import store  # noqa: PLC0415

            self._parts = store.from_plain(self.config_, self.weights_), Tokenizer.from_str(self.tokenizer_)
        return self._parts

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_parts"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags
