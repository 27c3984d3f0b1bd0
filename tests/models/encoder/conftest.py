"""A tiny BERT with random weights, in a folder like those of the hub; nothing here reaches a network."""

import gc
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tasks.models.encoder.frozen import load_network, tokenise
from tasks.models.encoder.model import loss_function
from tasks.models.encoder.trainer import Job, LabelledTokens
from tasks.models.spec import BinaryCrossEntropy, FineTuning, TransformerSpec

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MADE_UP = [head + tail for head in ("blen", "crov", "drim", "flup", "grot", "skel") for tail in ("ish", "ow", "ard")]
ENDINGS = ["##ing", "##ed", "##er", "##s", "##ly", "##ness"]
GENRES = ("Drama", "Horror", "Western")


def make_tokenizer(words: list[str]) -> Tokenizer:
    """Lower-casing WordPiece that knows some words whole and spells the others."""
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, *MADE_UP, *ENDINGS, *".,()0123456789", *LETTERS]
    entries += [f"##{letter}" for letter in LETTERS] + [f"##{digit}" for digit in range(10)]
    tokenizer = Tokenizer(
        models.WordPiece({entry: row for row, entry in enumerate(dict.fromkeys(entries))}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path_factory):
    """The hub as a machine without a network and without a cache sees it; the library reads this once, at import."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))


@pytest.fixture(scope="session", autouse=True)
def old_objects_left_alone():
    """What earlier tests left in memory is not searched for garbage each time that a training frees its own."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def shared_encoder(movies, tmp_path_factory) -> Path:
    """The encoder's folder; not to be changed."""
    from transformers import BertConfig, BertModel  # noqa: PLC0415 - takes seconds

    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    tokenizer = make_tokenizer(sorted(set(" ".join(movies["description"]).split())))
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def encoder(shared_encoder, tmp_path) -> Path:
    """A copy of the encoder's folder, to be damaged."""
    return Path(shutil.copytree(shared_encoder, tmp_path / "tiny-bert"))


@pytest.fixture(scope="session")
def tokenizer(shared_encoder) -> Tokenizer:
    return Tokenizer.from_file(str(shared_encoder / "tokenizer.json"))


@pytest.fixture(scope="session")
def parts(movies, tokenizer) -> tuple[LabelledTokens, LabelledTokens]:
    """Train (120 movies) and validation (60) of the invented world."""
    Y = np.array([[genre in genres for genre in GENRES] for genres in movies["genres"]])
    texts = movies["description"].to_list()
    return (
        LabelledTokens(tokenise(texts[:120], tokenizer, 32)[0], Y[:120]),
        LabelledTokens(tokenise(texts[120:180], tokenizer, 32)[0], Y[120:180]),
    )


@pytest.fixture
def choices() -> FineTuning:
    """Large steps, which suit a tiny encoder; 8 steps an epoch, 16 in all, checkpoints after 4, 8, 12 and 16."""
    return FineTuning(epochs=2, batch_size=16, learning_rate=5e-3, head_rate=4.0, dropout=0.1, precision="float32")


@pytest.fixture
def tuned(shared_encoder, choices) -> TransformerSpec:
    """The specification of a fine-tuned tiny encoder."""
    return TransformerSpec(
        name="tiny-tuned", encoder=str(shared_encoder), template="{description}", max_tokens=32, training=choices
    )


@pytest.fixture
def new_encoder(shared_encoder):
    """A function that loads a fresh encoder, with a dropout of 0.1."""
    return lambda dropout=0.1: load_network(shared_encoder, dropout)


@pytest.fixture
def job(parts, tmp_path) -> Job:
    """The data, loss and folder of the small training."""
    train, validation = parts
    loss = loss_function(BinaryCrossEntropy(), torch.from_numpy(train.Y.sum(axis=0)), len(train))
    return Job(train, validation, loss, tmp_path / "checkpoints", 5)
