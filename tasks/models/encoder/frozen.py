"""The pooled output of an encoder that is not fine-tuned, as a scikit-learn transformer of texts."""

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted


class FrozenEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The mean of an encoder's last layer over a document's tokens, of length 1 (times `weight`), in float32.

    The other documents of a batch change a vector only in its last digits, by padding.

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
        max_tokens: Annotated[int, Field(ge=8, description="Maximum number of tokens; longer texts are cut.")] = 128,
        weight: Annotated[PositiveFloat, Field(description="Length of a movie's vector.")] = 1.0,
    ) -> None:
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.weight = weight

    @property
    def label(self) -> str:
        """Its part of a folder's name."""
        return f"frozen_{Path(self.encoder).name}"

    def fit(self, X: Any, y: Any = None) -> Self:
        """Load the encoder; nothing is learnt from the documents.

        Raises:
            ModelError: the encoder is not available, is damaged, or reads fewer than `max_tokens`.
        """
        del X, y
        import torch  # noqa: PLC0415 - takes seconds, as do the modules that import it

        from tasks.models.encoder import store  # noqa: PLC0415
        from tasks.models.encoder.network import check_length  # noqa: PLC0415

        torch.set_num_threads(1)  # representations are computed in parallel, one core each
        folder = store.find_encoder(self.encoder)
        network, tokenizer = store.load_network(folder), store.load_tokenizer(folder)
        check_length(network, self.max_tokens)
        self.config_, self.weights_ = store.to_plain(network)
        self.tokenizer_ = tokenizer.to_str()
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Return (documents × width) float32."""
        from tasks.models.encoder.network import embed, tokenise  # noqa: PLC0415 - as above

        network, tokenizer = self.network_and_tokenizer()
        pooled = embed(f"embed by {self.encoder}", network, tokenise(list(X), tokenizer, self.max_tokens))
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        return sparse.csr_array(pooled / np.maximum(lengths, np.finfo(np.float32).tiny) * np.float32(self.weight))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the numbers of the dimensions, which have no meaning."""
        del input_features
        width = self.network_and_tokenizer()[0].config.hidden_size
        return np.array([f"{self.label}:{number}" for number in range(width)], dtype=object)

    def network_and_tokenizer(self) -> tuple[Any, Any]:
        """Return the network and the tokenizer, created on the first call."""
        check_is_fitted(self)
        if not hasattr(self, "_loaded"):
            from tokenizers import Tokenizer  # noqa: PLC0415

            from tasks.models.encoder import store  # noqa: PLC0415

            self._loaded = store.from_plain(self.config_, self.weights_), Tokenizer.from_str(self.tokenizer_)
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_loaded"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags
