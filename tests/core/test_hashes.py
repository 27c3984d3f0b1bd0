import json

import pytest

from tasks.core.errors import ModelError
from tasks.core.files import check_hashes, write_hashes

FILES = ("rules.json", "model/model.json", "model/weights.npy", "model/trees.npz", "model/vectors-1/terms.txt",
         "model/model.safetensors", "model/network-int8.onnx")  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A folder with a file of each kind that models consist of; what is in them does not matter here."""
    for name in FILES:
        (tmp_path / "stored" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stored" / name).write_bytes(f"content of {name}".encode())
    return tmp_path / "stored"


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_is_as_it_was_passes(folder):
    digest = write_hashes(folder)
    check_hashes(folder)
    check_hashes(folder, digest)
    assert write_hashes(folder) == digest


@pytest.mark.parametrize("name", FILES)
def test_one_bit_is_found_in_any_file(folder, name):
    write_hashes(folder)
    flip_a_bit(folder / name)
    with pytest.raises(ModelError, match=rf"{name} was changed since it was stored: do not use this model"):
        check_hashes(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(folder, name):
    write_hashes(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        check_hashes(folder)


def test_a_file_more_is_found_wherever_it_is(folder):
    write_hashes(folder)
    (folder / "model" / "hashes.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"model/hashes\.json was added"):
        check_hashes(folder)


def test_hashes_that_were_changed_with_the_files_are_found_by_their_digest(folder):
    digest = write_hashes(folder)
    flip_a_bit(folder / "model" / "weights.npy")
    assert write_hashes(folder) != digest
    check_hashes(folder)  # which alone it cannot tell
    with pytest.raises(ModelError, match=r"hashes\.json was changed since it was stored"):
        check_hashes(folder, digest)


@pytest.mark.parametrize("content", [None, "{", "[1]", "3", json.dumps({"rules.json": 3})])
@pytest.mark.parametrize("is_known", [True, False])
def test_missing_and_damaged_hashes_are_refused(folder, content, is_known):
    digest = write_hashes(folder) if is_known else None
    (folder / "hashes.json").unlink(missing_ok=True)
    if content is not None:
        (folder / "hashes.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"was changed|is missing|was added"):
        check_hashes(folder, digest)
