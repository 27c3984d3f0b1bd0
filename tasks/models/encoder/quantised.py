"""A network in eight bits for processors, as ONNX: written once, run by ONNX Runtime. Owns both; trains nothing.

Weights are integers of eight bits, and so are inputs of products while they are computed (dynamic quantisation).
"""

import logging
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import torch
from numpy.typing import NDArray

from tasks.errors import ModelError
from tasks.models.encoder.network import GenreNetwork, compute_rows
from tasks.models.encoder.tokens import Tokens

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
