"""An encoder with a head for genres: its network and losses, and the stored model with an int8 copy for CPUs (ONNX)."""

import logging
import math
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import joblib
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import logsigmoid

from tasks.core.errors import ModelError
from tasks.models.encoder import frozen
from tasks.models.encoder.frozen import HEAD_FILE, QUANTISED_FILE
from tasks.models.inputs import read_template
from tasks.models.pipeline import MODEL_FILE
from tasks.models.spec import Asymmetric, BinaryCrossEntropy, Focal, LogWeighted, Loss, Precision, TransformerSpec

HEAD_SCALE: Final = 0.1  # of the head's initial weights, relative to torch's linear layers
MIN_SHARE: Final = 1e-4  # of movies with a genre, for the head's initial bias
OPSET: Final = 18
_PROVIDERS: Final = ["CPUExecutionProvider"]
_INPUTS: Final = ("input_ids", "attention_mask")
_AXES: Final = {**{name: {0: "movies", 1: "tokens"} for name in _INPUTS}, "logits": {0: "movies"}}
_EXPORTING: Final = threading.Lock()  # exporter and quantiser keep state per process

LossFunction = Callable[[Tensor, Tensor], Tensor]  # of logits and labels
Logits = Callable[[Tensor, Tensor], Tensor]  # of ids and mask


class GenreNetwork(nn.Module):
    """Token ids to one logit per genre."""

    def __init__(self, encoder: Any, n_genres: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, n_genres)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return (movies × genres) logits in float32."""
        logits: Tensor = self.head(self.dropout(frozen.mean_pool(self.encoder, input_ids, attention_mask)))
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


def loss_function(loss: Loss, genre_counts: Tensor, n_movies: int) -> LossFunction:
    """Return a function of logits and labels (0 or 1), both (movies × genres), to one number; counts are of train."""
    match loss:
        case BinaryCrossEntropy():
            return cross_entropy
        case LogWeighted():
            weights = log_weights(genre_counts, n_movies)
            return lambda logits, labels: cross_entropy(logits, labels, weight=weights.to(logits.device))
        case Focal():
            return partial(focal, loss=loss)
        case Asymmetric():
            return partial(asymmetric, loss=loss)


def log_weights(genre_counts: Tensor, n_movies: int) -> Tensor:
    """Return `log(N / (count + 1))` of each genre, divided by their mean; all 1 if the mean is not above 0."""
    weights = torch.log(n_movies / (genre_counts.double() + 1)).clamp(min=0)
    mean = weights.mean()
    return (weights / mean if mean > 0 else torch.ones_like(weights)).float()


def focal(logits: Tensor, labels: Tensor, loss: Focal) -> Tensor:
    """Return the focal loss, computed from logits so that there is no logarithm of 0."""
    signed = torch.where(labels > 0.5, logits, -logits)  # of the true class
    factor = torch.where(labels > 0.5, loss.alpha, 1 - loss.alpha)
    return (-factor * _fading(signed, loss.gamma) * logsigmoid(signed)).mean()


def asymmetric(logits: Tensor, labels: Tensor, loss: Asymmetric) -> Tensor:
    """Return the asymmetric loss."""
    positive = -_fading(logits, loss.gamma_positive) * logsigmoid(logits)
    shifted = (torch.sigmoid(logits) - loss.margin).clamp(min=0)
    negative = -(shifted**loss.gamma_negative) * torch.log1p(-shifted.clamp(max=1 - 1e-7))
    return torch.where(labels > 0.5, positive, negative).mean()


def _fading(logits: Tensor, gamma: float) -> Tensor:
    """Return `(1 - p)^gamma`; unlike a power's, its gradient is finite where p is 1 and gamma below 1."""
    return torch.exp(gamma * logsigmoid(-logits))


def write_quantised(network: GenreNetwork, folder: Path) -> None:
    """Write `QUANTISED_FILE` into an existing folder: int8 weights, inputs quantised as they are computed."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - only needed here

    ids = torch.ones((2, 8), dtype=torch.int64)
    root = logging.getLogger()
    level = root.level
    with _EXPORTING, tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about branches that depend on shapes, which `_AXES` marks as variable
        exported = Path(name) / "network.onnx"
        names: Any = {"input_names": list(_INPUTS), "output_names": ["logits"], "dynamic_axes": _AXES}
        inputs = ids, torch.ones_like(ids)
        torch.onnx.export(network.cpu().eval(), inputs, str(exported), opset_version=OPSET, dynamo=False, **names)
        root.setLevel(logging.ERROR)  # the quantiser logs unasked advice on the root logger
        try:
            quantize_dynamic(exported, folder / QUANTISED_FILE, weight_type=QuantType.QInt8, per_channel=True)
        finally:
            root.setLevel(level)


class StoredTransformer(TransformerSpec):
    """The content of `model.json`: the specification with the genres, in the order of the scores' columns."""

    genres: tuple[str, ...]


class TransformerModel:
    """A fine-tuned encoder with its text reader. It never sees a threshold."""

    def __init__(self, spec: TransformerSpec, genres: tuple[str, ...], network: GenreNetwork, tokenizer: Any) -> None:
        self.spec, self.genres, self.network, self.tokenizer = spec, genres, network.eval(), tokenizer
        self.precision: Precision = "float32"  # of scoring
        self.own_fields: tuple[str, ...] = ()  # templates have no placeholders for them
        self.quantised_file: Path | None = None  # None until the model is stored
        self._session: Any = None  # of onnxruntime

    def scores(self, movies: pl.DataFrame) -> NDArray[np.float32]:
        """Return (movies × genres) scores in [0, 1]; ModelError if int8 is chosen and its network is damaged."""
        texts = read_template(movies, self.spec.input, self.spec.template)
        tokens, _ = frozen.tokenise(texts, self.tokenizer, self.spec.max_tokens)
        logits, pad_id = self._logits(), frozen.padding_id(self.network.encoder)
        what = f"score by {self.spec.name}"
        return frozen.compute_rows(what, lambda *batch: torch.sigmoid(logits(*batch)), tokens, pad_id, len(self.genres))

    def _logits(self) -> Logits:
        if self.precision != "int8":
            return self.network.to(frozen.choose_device()).eval()
        if self.quantised_file is None:
            raise ModelError(f"model {self.spec.name} must be stored before it can score in int8")
        if self._session is None:
            import onnxruntime  # noqa: PLC0415 - only needed here

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = joblib.cpu_count()  # those of the container, not of its machine
            try:
                self._session = onnxruntime.InferenceSession(self.quantised_file, options, _PROVIDERS)
            except Exception as error:  # the library's exceptions share no base class
                message = f"{self.quantised_file} is missing or damaged ({error}); train the model again"
                raise ModelError(message) from error
        session = self._session
        return lambda *inputs: torch.from_numpy(
            session.run(None, {name: value.cpu().numpy() for name, value in zip(_INPUTS, inputs, strict=True)})[0]
        )

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder: JSON, safetensors and ONNX, no pickle."""
        stored = StoredTransformer(**dict(self.spec), genres=self.genres)
        (folder / MODEL_FILE).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
        frozen.save_encoder(self.network.encoder, self.tokenizer, folder)
        head = {name: value.detach().cpu().contiguous() for name, value in self.network.head.state_dict().items()}
        save_file(head, folder / HEAD_FILE)
        if not (self.quantised_file and self.quantised_file.is_file()):
            write_quantised(self.network, folder)
            self.quantised_file = folder / QUANTISED_FILE
        elif folder.resolve() != self.quantised_file.parent.resolve():
            shutil.copy(self.quantised_file, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; ModelError if a file is missing or damaged."""
        try:
            stored = StoredTransformer.model_validate_json((folder / MODEL_FILE).read_text(encoding="utf-8"))
            spec = TransformerSpec(**{key: value for key, value in stored if key != "genres"})
            network = GenreNetwork(frozen.load_network(folder), len(stored.genres), spec.training.dropout)
            network.head.load_state_dict(load_file(folder / HEAD_FILE))
        except Exception as error:  # safetensors raises its own, derived from Exception
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error
        model = cls(spec, stored.genres, network, frozen.load_tokenizer(folder))
        model.quantised_file = folder / QUANTISED_FILE
        return model
