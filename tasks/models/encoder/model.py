"""A fine-tuned encoder as a model: movies to scores, and its folder. Trains nothing."""

import logging
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, Final, Self

import joblib
import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from tasks.core.errors import ModelError
from tasks.models.encoder import store
from tasks.models.encoder.network import GenreNetwork, Tokens, choose_device, compute_rows, tokenise
from tasks.models.inputs import read_template
from tasks.models.pipeline import MODEL_FILE
from tasks.models.spec import Precision, TransformerSpec

# A network in eight bits for processors, as ONNX: written once, run by ONNX Runtime. Owns both; trains nothing.
#
# Weights are integers of eight bits, and so are inputs of products while they are computed (dynamic quantisation).


QUANTISED_FILE: Final = "network-int8.onnx"
OPSET: Final = 18
_INPUTS: Final = ("input_ids", "attention_mask")
_AXES: Final = {**{name: {0: "movies", 1: "tokens"} for name in _INPUTS}, "logits": {0: "movies"}}


# The exporter and the quantiser keep state of the whole process.
_EXPORTING: Final = threading.Lock()


def write_quantised(network: GenreNetwork, folder: Path) -> None:
    """Write `QUANTISED_FILE` into a folder that exists."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - only needed here

    ids = torch.ones((2, 8), dtype=torch.int64)
    on_processor = network.to("cpu").eval()
    with _EXPORTING, tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of branches that depend on shapes: which are marked as variable below
        exported = Path(name) / "network.onnx"
        torch.onnx.export(
            on_processor,
            (ids, torch.ones_like(ids)),
            str(exported),
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_axes=_AXES,
            opset_version=OPSET,
            dynamo=False,
        )
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # the quantiser advises, on the root logger, what it was not asked
        try:
            quantize_dynamic(exported, folder / QUANTISED_FILE, weight_type=QuantType.QInt8, per_channel=True)
        finally:
            root.setLevel(level)


class QuantisedNetwork:
    """A stored network, ready to score."""

    def __init__(self, file: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - only needed where it is chosen

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = joblib.cpu_count()  # what a container may use, not what its machine has
        try:
            self.session: Any = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's own, of no common kind
            raise ModelError(f"{file} is missing or damaged ({error}); train the model again") from error

    def scores(self, what: str, tokens: Tokens, pad_id: int, n_genres: int) -> NDArray[np.float32]:
        """Return (texts × genres) scores in [0, 1]."""
        return compute_rows(what, self._run, tokens, pad_id, n_genres)

    def _run(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        (logits,) = self.session.run(None, dict(zip(_INPUTS, (ids.numpy(), mask.numpy()), strict=True)))
        return torch.sigmoid(torch.from_numpy(logits))


HEAD_FILE: Final = "head.safetensors"


class StoredTransformer(TransformerSpec):
    """The content of `model.json`: the specification with the genres, in the order of the scores' columns."""

    genres: tuple[str, ...]


class TransformerModel:
    """A fine-tuned encoder with the text that it reads. It never sees a threshold."""

    def __init__(self, spec: TransformerSpec, genres: tuple[str, ...], network: GenreNetwork, tokenizer: Any) -> None:
        self.spec, self.genres, self.network, self.tokenizer = spec, genres, network.eval(), tokenizer
        self.precision: Precision = "float32"  # of scoring
        self.own_fields: tuple[str, ...] = ()  # a template names those of listings only
        self._session: QuantisedNetwork | None = None
        self.quantised_file: Path | None = None  # where it lies, once the model is stored

    def tokens(self, movies: pl.DataFrame) -> Tokens:
        """Return what the encoder reads of each movie."""
        texts = read_template(movies, self.spec.input, self.spec.template)
        return tokenise(texts, self.tokenizer, self.spec.max_tokens)

    def scores(self, movies: pl.DataFrame) -> NDArray[np.float32]:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        return self.score_tokens(self.tokens(movies))

    def score_tokens(self, tokens: Tokens) -> NDArray[np.float32]:
        """Return the scores of texts that are tokens already."""
        if self.precision == "int8":
            return self._quantised().scores(f"score by {self.spec.name}", tokens, self._pad_id, len(self.genres))
        device = choose_device()
        network = self.network.to(device).eval()
        with torch.inference_mode():
            return compute_rows(
                f"score by {self.spec.name}",
                lambda ids, mask: torch.sigmoid(network(ids.to(device), mask.to(device))),
                tokens,
                self._pad_id,
                len(self.genres),
            )

    @property
    def _pad_id(self) -> int:
        return self.network.encoder.config.pad_token_id or 0

    def _quantised(self) -> QuantisedNetwork:
        if self._session is None:
            if self.quantised_file is None:
                raise ModelError(f"model {self.spec.name} has to be stored before it can score in eight bits")
            self._session = QuantisedNetwork(self.quantised_file)
        return self._session

    def save(self, folder: Path) -> None:
        """Write the model into a folder that exists: JSON and safetensors, no pickle."""
        stored = StoredTransformer(**dict(self.spec), genres=self.genres)
        (folder / MODEL_FILE).write_text(stored.model_dump_json() + "\n", encoding="utf-8")
        store.save_encoder(self.network.encoder, self.tokenizer, folder)
        head = {name: value.detach().cpu().contiguous() for name, value in self.network.head.state_dict().items()}
        save_file(head, folder / HEAD_FILE)
        if self.quantised_file and self.quantised_file.is_file():
            if folder.resolve() != self.quantised_file.parent.resolve():
                shutil.copy(self.quantised_file, folder)
        else:
            write_quantised(self.network, folder)
            self.quantised_file = folder / QUANTISED_FILE

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
        except Exception as error:  # safetensors raises an Exception of its own
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error
        model = cls(spec, stored.genres, network, store.load_tokenizer(folder))
        model.quantised_file = folder / QUANTISED_FILE
        return model
