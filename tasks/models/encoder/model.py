"""A fine-tuned encoder as a model: movies to scores, and its folder, with a copy quantised to int8 for CPUs (ONNX)."""

import logging
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import joblib
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks.core.errors import ModelError
from tasks.models.encoder import store
from tasks.models.encoder.network import GenreNetwork, choose_device, compute_rows, padding_id, tokenise
from tasks.models.encoder.store import HEAD_FILE, QUANTISED_FILE
from tasks.models.inputs import read_template
from tasks.models.pipeline import MODEL_FILE
from tasks.models.spec import Precision, TransformerSpec

OPSET: Final = 18
_INPUTS: Final = ("input_ids", "attention_mask")
_AXES: Final = {**{name: {0: "movies", 1: "tokens"} for name in _INPUTS}, "logits": {0: "movies"}}
_EXPORTING: Final = threading.Lock()  # exporter and quantiser keep state per process

Logits = Callable[[Tensor, Tensor], Tensor]  # of ids and mask


def write_quantised(network: GenreNetwork, folder: Path) -> None:
    """Write `QUANTISED_FILE` into an existing folder: int8 weights, inputs quantised as they are computed."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - only needed here

    ids = torch.ones((2, 8), dtype=torch.int64)
    root = logging.getLogger()
    level = root.level
    with _EXPORTING, tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about branches that depend on shapes, which `_AXES` marks as variable
        exported = Path(name) / "network.onnx"
        torch.onnx.export(
            network.to("cpu").eval(),
            (ids, torch.ones_like(ids)),
            str(exported),
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_axes=_AXES,
            opset_version=OPSET,
            dynamo=False,
        )
        root.setLevel(logging.ERROR)  # the quantiser logs unasked advice on the root logger
        try:
            quantize_dynamic(exported, folder / QUANTISED_FILE, weight_type=QuantType.QInt8, per_channel=True)
        finally:
            root.setLevel(level)


def load_quantised(file: Path) -> Logits:
    """Return the network that `write_quantised` wrote.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import onnxruntime  # noqa: PLC0415 - only needed where int8 is chosen

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = joblib.cpu_count()  # those of the container, not of its machine
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's exceptions share no base class
        raise ModelError(f"{file} is missing or damaged ({error}); train the model again") from error

    def logits(*inputs: Tensor) -> Tensor:
        (found,) = session.run(None, {name: value.numpy() for name, value in zip(_INPUTS, inputs, strict=True)})
        return torch.from_numpy(found)

    return logits


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
        self._quantised: Logits | None = None

    def scores(self, movies: pl.DataFrame) -> NDArray[np.float32]:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`.

        Raises:
            ModelError: int8 is chosen, and the quantised network is missing or damaged.
        """
        texts = read_template(movies, self.spec.input, self.spec.template)
        logits = self._logits()
        return compute_rows(
            f"score by {self.spec.name}",
            lambda ids, mask: torch.sigmoid(logits(ids, mask)),
            tokenise(texts, self.tokenizer, self.spec.max_tokens),
            padding_id(self.network.encoder),
            len(self.genres),
        )

    def _logits(self) -> Logits:
        if self.precision == "int8":
            if self.quantised_file is None:
                raise ModelError(f"model {self.spec.name} must be stored before it can score in int8")
            self._quantised = self._quantised or load_quantised(self.quantised_file)
            return self._quantised
        device = choose_device()
        network = self.network.to(device).eval()
        return lambda ids, mask: network(ids.to(device), mask.to(device))

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder: JSON, safetensors and ONNX, no pickle."""
        stored = StoredTransformer(**dict(self.spec), genres=self.genres)
        (folder / MODEL_FILE).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
        store.save_encoder(self.network.encoder, self.tokenizer, folder)
        head = {name: value.detach().cpu().contiguous() for name, value in self.network.head.state_dict().items()}
        save_file(head, folder / HEAD_FILE)
        if not (self.quantised_file and self.quantised_file.is_file()):
            write_quantised(self.network, folder)
            self.quantised_file = folder / QUANTISED_FILE
        elif folder.resolve() != self.quantised_file.parent.resolve():
            shutil.copy(self.quantised_file, folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or damaged.
        """
        try:
            stored = StoredTransformer.model_validate_json((folder / MODEL_FILE).read_text(encoding="utf-8"))
            spec = TransformerSpec(**{key: value for key, value in stored if key != "genres"})
            network = GenreNetwork(store.load_network(folder), len(stored.genres), spec.training.dropout)
            network.head.load_state_dict(load_file(folder / HEAD_FILE))
        except Exception as error:  # safetensors raises its own, derived from Exception
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error
        model = cls(spec, stored.genres, network, store.load_tokenizer(folder))
        model.quantised_file = folder / QUANTISED_FILE
        return model
