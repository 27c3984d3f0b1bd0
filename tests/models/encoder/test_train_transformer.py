"""The train stage of a fine-tuned encoder: what it writes, what it sees, and how it resumes."""

import csv
import json

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import ConfigError, ModelError
from tasks.core.predictions import read_scores
from tasks.models import train as train_stage
from tasks.models.encoder import frozen, trainer
from tasks.models.encoder.fine_tune import HISTORY_COLUMNS, train_transformer
from tasks.models.genre_classifier import load_model
from tasks.models.train import TrainChoices


class Killed(BaseException):
    """As a signal: nothing catches it."""


def train(paths, model, **choices):
    return train_transformer(paths, model, TrainChoices(**{"seed": 1, **choices}), n_threads=1)


@pytest.fixture
def cut(tuned):
    """The specification, cut at few tokens."""
    return tuned.model_copy(update={"max_tokens": 11})


def test_a_models_folder_holds_the_model_its_scores_its_cost_and_its_history(prepared, movies, cut):
    result = train(prepared, cut)
    lengths = [len(text.split()) for text in movies["description"][:240]]
    assert result.counts == {
        "train_movies": 240,
        "truncated_texts": sum(length > 9 for length in lengths),
        "plan": "no time budget",
        "epochs": 2,
        "steps": 30,
        "best_jaccard": result.counts["best_jaccard"],
        "device": result.counts["device"],
        "precision": "float32",
        "accumulate": 1,
    }
    fitted = load_model(result.folder / "model")
    for part, rows in (("validation", slice(240, 270)), ("test", slice(270, 300))):
        scores = read_scores(result.folder / f"scores_{part}.parquet")
        assert list(scores.movie_ids) == movies["movie_id"][rows].to_list()
        np.testing.assert_allclose(scores.scores, fitted.scores(movies[rows]), rtol=0, atol=1e-6)
    costs = json.loads((result.folder / "fit.json").read_text())
    assert costs.keys() == {"fit_s", "predict_docs_per_s", "model_memory_mb", "model_mb"}
    assert all(cost > 0 for cost in costs.values())
    rows = list(csv.DictReader((result.folder / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert tuple(rows[0]) == HISTORY_COLUMNS
    assert [(row["step"], row["epoch"]) for row in rows] == [
        ("8", "0.5333"), ("15", "1.0"), ("23", "1.5333"), ("30", "2.0"),
    ]  # fmt: skip
    assert all(float(row[name]) >= 0 for row in rows for name in HISTORY_COLUMNS)
    assert max(float(row["validation_jaccard"]) for row in rows) == pytest.approx(
        result.counts["best_jaccard"], abs=1e-4
    )
    assert not any(prepared.checkpoints.iterdir())
    assert train(prepared, cut).skipped


def test_another_seed_choice_or_encoder_trains_again(prepared, tuned, encoder):
    quick = tuned.model_copy(
        update={"encoder": str(encoder), "training": tuned.training.model_copy(update={"epochs": 1, "batch_size": 60})}
    )
    train(prepared, quick)
    assert not train(prepared, quick, seed=2).skipped
    config = (encoder / "config.json").read_text()
    (encoder / "config.json").write_text(config.replace('"gelu"', '"relu"'))
    assert not train(prepared, quick, seed=2).skipped


def test_training_is_given_no_movie_of_test(prepared, tuned, tokenizer, monkeypatch):
    """Every text names its row, so that what is tokenised and trained on can be traced."""
    rows = pl.int_range(pl.len()).cast(pl.String)
    pl.read_parquet(prepared.movies).with_columns(description="row " + rows + " .").write_parquet(prepared.movies)
    tokenised, tokenised_before, given = [], [], []
    tokenise, train_within = frozen.tokenise, trainer.train_within_budget

    def look(network, parts, *arguments):
        given.extend(parts)
        tokenised_before.extend(tokenised)
        return train_within(network, parts, *arguments)

    monkeypatch.setattr(frozen, "tokenise", lambda texts, *a: tokenised.append(list(texts)) or tokenise(texts, *a))
    monkeypatch.setattr(trainer, "train_within_budget", look)
    train(prepared, tuned, train_on="train")
    texts = [[f"row {row} ." for row in rows] for rows in (range(240), range(240, 270))]
    assert tokenised_before == texts
    for part, expected in zip(given, texts, strict=True):
        ids = [part.tokens[row].tolist() for row in range(len(part))]
        assert ids == [encoded.ids for encoded in tokenizer.encode_batch(expected)]
    truth = np.array([[g in genres for g in ("Drama", "Horror", "Western")] for genres in movies_of(prepared)])
    np.testing.assert_array_equal(given[0].Y, truth[:240])
    np.testing.assert_array_equal(given[1].Y, truth[240:270])


def movies_of(paths):
    return pl.read_parquet(paths.movies)["genres"].to_list()


def test_a_killed_stage_resumes_to_the_same_files(prepared, tuned, monkeypatch):
    expected = train(prepared, tuned)
    kept = {name: (expected.folder / name).read_bytes() for name in ("scores_test.parquet", "history.csv")}
    (expected.folder / "train.stage.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(train_stage, "save_model", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(prepared, tuned)
    (left,) = prepared.checkpoints.iterdir()
    assert (left / "checkpoint-30" / "hashes.json").is_file()
    again = train(prepared, tuned)
    assert again.counts == expected.counts
    assert {name: (again.folder / name).read_bytes() for name in kept} == kept
    assert not left.exists()


def test_checkpoints_of_other_genres_are_not_resumed(prepared, tuned, monkeypatch):
    tuned = tuned.model_copy(update={"training": tuned.training.model_copy(update={"epochs": 1})})
    with monkeypatch.context() as patch:
        patch.setattr(train_stage, "save_model", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(prepared, tuned)
    swapped = pl.col("genres").list.eval(pl.element().replace({"Drama": "Horror", "Horror": "Drama"}))
    pl.read_parquet(prepared.movies).with_columns(swapped).write_parquet(prepared.movies)
    train(prepared, tuned)
    assert len(list(prepared.checkpoints.iterdir())) == 1  # what the first left


def test_chosen_genres_are_the_columns(prepared, tuned):
    assert read_scores(train(prepared, tuned, genres=("Western",)).folder / "scores_test.parquet").genres == (
        "Western",
    )
    with pytest.raises(ConfigError, match="no movie has the genre Zombie"):
        train(prepared, tuned, genres=("Zombie",))


def test_a_genre_absent_from_train_is_scored(prepared, tuned):
    prepared.genres_json.write_text(json.dumps(["Drama", "Horror", "Western", "Zombie"]), encoding="utf-8")
    scores = read_scores(train(prepared, tuned).folder / "scores_test.parquet").scores
    assert scores.shape == (30, 4)
    assert (scores[:, 3] < 0.05).all()


def test_an_empty_validation_is_an_error(prepared, tuned):
    splits = pl.read_parquet(prepared.splits)
    part = splits["part"].cast(pl.String).replace("validation", "test").cast(splits.schema["part"])
    splits.with_columns(part=part).write_parquet(prepared.splits)
    with pytest.raises(ModelError, match="there are none"):
        train(prepared, tuned)


def test_more_tokens_than_the_encoder_reads_are_refused(prepared, tuned):
    with pytest.raises(ModelError, match="reads at most 64 tokens"):
        train(prepared, tuned.model_copy(update={"max_tokens": 128}))


def test_an_encoder_that_is_not_available_leaves_nothing(prepared, tuned):
    with pytest.raises(ModelError, match="cannot be downloaded"):
        train(prepared, tuned.model_copy(update={"encoder": "nobody/nothing"}))
    assert not prepared.models.exists()
