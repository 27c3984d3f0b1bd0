"""A fine-tuned encoder as a model: what it scores, its folder, and ensembles with it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import ModelError
from tasks.core.files import write_hashes
from tasks.models import linear, spec
from tasks.models.encoder.fine_tune import TRANSFORMER_FILES
from tasks.models.encoder.frozen import QUANTISED_FILE, load_tokenizer
from tasks.models.encoder.model import TransformerModel, new_network, write_quantised
from tasks.models.genre_classifier import EnsembleModel, load_model, load_single
from tasks.models.pipeline import GenreModel
from tasks.models.served import _load_pyfunc

GENRES = ("Drama", "Horror", "Western")


@pytest.fixture
def model(tuned, new_encoder, shared_encoder, parts):
    network = new_network(new_encoder(), parts[0].Y, 0.1, seed=3)
    return TransformerModel(tuned, GENRES, network, load_tokenizer(shared_encoder))


@pytest.fixture
def folder(model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    model.save(folder)
    return folder


def test_scores_are_probabilities_in_the_order_of_rows(model, movies):
    some = movies.head(100)
    scores = model.scores(some)
    assert (scores.shape, scores.dtype) == ((100, 3), np.float32)
    assert ((scores > 0) & (scores < 1)).all()
    order = np.random.default_rng(1).permutation(100)
    np.testing.assert_allclose(model.scores(some[order]), scores[order], rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.scores(some[5:6]), scores[5:6], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.scores(some), scores)


@pytest.mark.parametrize(
    "description",
    ["", None, " \n", "😀🎬", "\u200d", "a" * 50_000, "ghosts " * 7_000],
    ids=lambda text: ascii(text)[:12],
)
def test_whatever_a_description_holds_gets_scores(model, description):
    scores = model.scores(pl.DataFrame({"description": [description, "haunted ghosts"]}, strict=False))
    assert np.isfinite(scores).all()
    alone = model.scores(pl.DataFrame({"description": ["haunted ghosts"]}))
    np.testing.assert_allclose(scores[1:], alone, rtol=0, atol=1e-6)


def test_no_movies_get_no_scores(model, movies):
    assert model.scores(movies.head(0)).shape == (0, 3)


def test_a_stored_model_gives_equal_scores(model, folder, movies):
    assert sorted(file.name for file in folder.iterdir()) == sorted(TRANSFORMER_FILES)
    for loaded in (TransformerModel.load(folder), load_single(folder), load_model(folder)):
        assert (loaded.spec, loaded.genres) == (model.spec, model.genres)
        np.testing.assert_array_equal(loaded.scores(movies), model.scores(movies))


def test_one_bit_in_any_file_of_a_served_model_is_refused(folder):
    """Before anything else is read of it."""
    write_hashes(folder)
    for name in TRANSFORMER_FILES:
        whole = (folder / name).read_bytes()
        content = bytearray(whole)
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(ModelError, match=rf"{name} was changed since it was stored"):
            _load_pyfunc(str(folder))
        (folder / name).write_bytes(whole)


def test_a_stored_model_does_not_need_the_original_encoder(model, folder, movies, encoder):
    stored = (folder / "model.json").read_text()
    (folder / "model.json").write_text(stored.replace(model.spec.encoder, "an encoder that is gone"))
    np.testing.assert_array_equal(load_model(folder).scores(movies), model.scores(movies))


@pytest.mark.parametrize(
    "name", ["model.json", "config.json", "model.safetensors", "tokenizer.json", "head.safetensors"]
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_folder_is_an_error(folder, name, damage):
    file = folder / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"incomplete or damaged|cannot be read|has no tokenizer"):
        load_model(folder)


def test_int8_scores_are_close_and_stored(model, folder, movies):
    exact = model.scores(movies)
    model.precision = "int8"
    rounded = model.scores(movies)
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.02)
    loaded = TransformerModel.load(folder)
    loaded.precision = "int8"
    np.testing.assert_array_equal(loaded.scores(movies), rounded)


@pytest.mark.parametrize("damage", [b"", b"no network", None])
def test_a_damaged_quantised_network_is_an_error(folder, movies, damage):
    file = folder / QUANTISED_FILE
    file.unlink() if damage is None else file.write_bytes(damage)
    loaded = TransformerModel.load(folder)
    assert loaded.scores(movies.head(2)).shape == (2, 3)
    loaded.precision = "int8"
    with pytest.raises(ModelError, match=r"int8\.onnx is missing or damaged"):
        loaded.scores(movies.head(2))


def test_a_model_can_be_stored_in_its_own_folder_and_in_another(folder, movies, tmp_path):
    loaded = TransformerModel.load(folder)
    loaded.save(folder)
    (tmp_path / "copy").mkdir()
    loaded.save(tmp_path / "copy")
    for name in TRANSFORMER_FILES:
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_a_head_of_other_genres_is_an_error(folder):
    stored = (folder / "model.json").read_text()
    (folder / "model.json").write_text(stored.replace('"Drama",', ""))
    with pytest.raises(ModelError, match="incomplete or damaged"):
        load_model(folder)


def test_an_ensemble_with_a_fine_tuned_member_is_stored_whole(model, movies, tmp_path):
    words = spec.ModelSpec(name="logreg", classifier=linear.LogisticRegression(C=10))
    members = {"logreg": GenreModel(words, GENRES, 1).fit(movies), "tiny-tuned": model}
    ensemble = EnsembleModel("both", members, (0.7, 0.4))
    ensemble.save(tmp_path)
    loaded = load_model(tmp_path)
    assert [type(member) for member in loaded.members.values()] == [GenreModel, TransformerModel]
    np.testing.assert_array_equal(loaded.scores(movies), ensemble.scores(movies))
    (tmp_path / "members" / "tiny-tuned" / "head.safetensors").unlink()
    with pytest.raises(ModelError, match="tiny-tuned is incomplete or damaged"):
        load_model(tmp_path)


def test_networks_can_be_exported_in_parallel(new_encoder, parts, tmp_path):
    """As trainings that end at the same time do; the exporter keeps state of the whole process."""
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        folder.mkdir()
    networks = [new_network(new_encoder(0.0), parts[0].Y, 0.0, seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write_quantised, networks, folders))
    assert all((folder / QUANTISED_FILE).is_file() for folder in folders)
