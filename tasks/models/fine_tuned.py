"""The train stage of a fine-tuned encoder. Owns what its folder holds and where its checkpoints are meanwhile."""

import csv
import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.errors import ModelError
from tasks.hashes import hash_files
from tasks.models.encoder.checkpoints import spent_s
from tasks.models.encoder.store import FILES, IMPORTING, encoder_files, find_encoder, load_network, load_tokenizer
from tasks.models.features import read_genres, read_movies, train_rows
from tasks.models.genre_model import MODEL_FILE
from tasks.models.inputs import read_template
from tasks.models.spec import TransformerSpec
from tasks.models.train import (
    FIT_FILE,
    MODEL_FOLDER,
    RATE_SAMPLE,
    SCORED_PARTS,
    TrainChoices,
    chosen_genres,
    save_model,
)
from tasks.paths import DataPaths
from tasks.scores import truth_matrix, write_scores
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

ROOM: Final = Path(__file__).parents[1]
HISTORY_FILE: Final = "history.csv"
HISTORY_COLUMNS: Final = ("step", "epoch", "train_loss", "validation_loss", "validation_jaccard", "learning_rate")
TRANSFORMER_FILES: Final = (MODEL_FILE, *FILES, "head.safetensors", "network-int8.onnx")


def train_transformer(paths: DataPaths, model: TransformerSpec, choices: TrainChoices, n_threads: int) -> StageResult:
    """Fine-tune an encoder on train and write it as `train_model` writes a model, with `history.csv` beside it.

    `history.csv` has one row an evaluation: loss on train since the one before, loss and Jaccard on validation.
    Checkpoints are in `data/checkpoints/` until the model is written: a killed training goes on from there.

    Args:
        paths: the data folder.
        model: what to train.
        choices: on which movies and genres, and the seed.
        n_threads: that torch computes with. One each for two trainings side by side is faster than two for one after
            the other: threads of one training wait for each other in every layer.

    Raises:
        ModelError: the encoder cannot be had or reads fewer tokens than it should, no movie is in validation, the loss
            is not finite, or memory does not suffice.
        ConfigError: a chosen genre does not exist.
        DataError: no movie is in train, or the splits do not belong to the clean table.
    """
    stage = Stage(
        name="train",
        folder=paths.models / model.name,
        outputs=(
            *(f"{MODEL_FOLDER}/{name}" for name in TRANSFORMER_FILES),
            *(f"scores_{part}.parquet" for part in SCORED_PARTS),
            FIT_FILE,
            HISTORY_FILE,
        ),
        inputs=(paths.movies, paths.splits, paths.genres_json, *encoder_files(find_encoder(model.encoder))),
        config={"model": config_dict(model), **asdict(choices)},
        code=(Path(__file__),),
        packages=("accelerate", "numpy", "tokenizers", "torch", "transformers"),
    )
    return run_stage(stage, partial(_build, paths, model, choices, n_threads))


def _build(
    paths: DataPaths, model: TransformerSpec, choices: TrainChoices, n_threads: int, folder: Path
) -> Mapping[str, Any]:
    encoder = find_encoder(model.encoder)
    with IMPORTING:  # torch takes seconds to import
        from tasks.models.encoder import fine_tune as tuning  # noqa: PLC0415
        from tasks.models.encoder.batches import LabelledTokens  # noqa: PLC0415
        from tasks.models.encoder.model import TransformerModel  # noqa: PLC0415
        from tasks.models.encoder.network import check_length  # noqa: PLC0415
        from tasks.models.encoder.tokens import tokenise  # noqa: PLC0415

    movies = read_movies(paths)
    genres = chosen_genres(read_genres(paths), choices)
    Y = truth_matrix(movies.get_column("genres").to_list(), genres, ignored=read_genres(paths))
    tokenizer, loaded = load_tokenizer(encoder), load_network(encoder, model.training.dropout)
    check_length(loaded, model.max_tokens)
    part = movies.get_column("part").cast(pl.String)
    train, validation = train_rows(movies, choices.train_on), (part == "validation").to_numpy()
    if not validation.any():
        raise ModelError(
            "fine-tuning chooses its best epoch on validation, and no movie is in it; run flows/prepare.py with a "
            "larger share for it"
        )
    texts = np.array(read_template(movies, model.input, model.template), dtype=object)
    parts = (
        LabelledTokens(tokenise(texts[train].tolist(), tokenizer, model.max_tokens), Y[train]),
        LabelledTokens(tokenise(texts[validation].tolist(), tokenizer, model.max_tokens), Y[validation]),
    )
    n_truncated = parts[0].tokens.n_truncated
    if n_truncated:
        share = n_truncated / len(parts[0])
        logger.info(
            "%s: %d train texts (%.1f %%) are cut at %d tokens", model.name, n_truncated, 100 * share, model.max_tokens
        )
    checkpoints = paths.checkpoints / _key(model, choices, encoder, parts)
    start_s = time.perf_counter() - spent_s(checkpoints)  # what a killed training took counts, too
    with tuning.turn(model.training.dropout, n_threads):
        network = tuning.new_network(loaded, Y[train], model.training.dropout, choices.seed)
        done = tuning.train_within(network, parts, model, checkpoints, choices.seed)
    fit_s = time.perf_counter() - start_s
    logger.info("%s: trained on %s movies in %.0f s", model.name, f"{train.sum():,}", fit_s)
    fitted = TransformerModel(model, genres, done.network, tokenizer)
    for name in SCORED_PARTS:
        some = movies.filter(part == name)
        write_scores(folder / f"scores_{name}.parquet", some["movie_id"].to_list(), fitted.scores(some), genres)
    save_model(fitted, movies.head(RATE_SAMPLE), fit_s, folder)
    _write_history(done.history, folder / HISTORY_FILE)
    tuning.remove_checkpoints(checkpoints)
    return {"train_movies": int(train.sum()), "truncated_texts": n_truncated, **done.counts}


def _key(model: TransformerSpec, choices: TrainChoices, encoder: Path, parts: Sequence[Any]) -> str:
    """Return the name of the checkpoints of this very training: what it is of, and on which texts and genres."""
    what = [config_dict(model), asdict(choices), hash_files(encoder_files(encoder))]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for part in parts:
        digest.update(part.tokens.ids.tobytes() + part.tokens.starts.tobytes() + part.Y.tobytes())
    return f"{model.name}-{digest.hexdigest()[:12]}"


def _write_history(history: list[dict[str, float]], path: Path) -> None:
    """Write what the trainer noted at each evaluation: first a line of its own for train, then one for validation."""
    rows: dict[float, dict[str, float]] = {}
    names = {
        "loss": "train_loss",  # what the trainer calls train_loss is the mean of the whole training, at its end
        "eval_loss": "validation_loss",
        "eval_jaccard": "validation_jaccard",
        "learning_rate": "learning_rate",
    }
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"], "epoch": round(entry["epoch"], 4)})
        row |= {names[name]: value for name, value in entry.items() if name in names}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for row in rows.values() if "validation_loss" in row)
