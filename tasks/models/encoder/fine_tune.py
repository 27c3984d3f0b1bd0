"""The train stage of a fine-tuned encoder. torch, which takes seconds to import, is imported only when it runs."""

import csv
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tasks.core.errors import ModelError
from tasks.core.files import hash_files
from tasks.core.predictions import truth_matrix, write_scores
from tasks.core.settings import DataPaths
from tasks.models import train as train_stage
from tasks.models.encoder import frozen
from tasks.models.encoder.frozen import encoder_files, find_encoder
from tasks.models.features import read_genres, read_movies, train_rows
from tasks.models.inputs import read_template
from tasks.models.pipeline import MODEL_FILE
from tasks.models.spec import TransformerSpec
from tasks.models.train import FIT_FILE, MODEL_FOLDER, PART_SCORES, SCORED_PARTS, TrainChoices
from tasks.stage import Stage, StageResult, config_dict, run_stage

logger = logging.getLogger(__name__)

HISTORY_FILE: Final = "history.csv"
TRANSFORMER_FILES: Final = (MODEL_FILE, *frozen.FILES, frozen.HEAD_FILE, frozen.QUANTISED_FILE)
HISTORY_COLUMNS: Final = ("step", "epoch", "train_loss", "validation_loss", "validation_jaccard", "learning_rate")
# The same in the trainer's log; its own "train_loss" is the mean of the whole training.
_LOGGED_AS: Final = ("step", "epoch", "loss", "eval_loss", "eval_jaccard", "learning_rate")


def train_transformer(paths: DataPaths, model: TransformerSpec, choices: TrainChoices, n_threads: int) -> StageResult:
    """Fine-tune an encoder on train and write it as `train_model` writes a model, with `history.csv` next to it.

    `history.csv` has one row per evaluation: loss on train since the last one, loss and Jaccard on validation.
    Checkpoints are in `data/checkpoints/` until the model is written: a killed training resumes from there. Two
    trainings in parallel with one thread each are faster than one after the other with two: the threads of a training
    wait for each other in every layer.

    Errors as `train_model`, and a ModelError if the encoder is not available or reads fewer than `max_tokens`,
    validation is empty, or memory is insufficient.
    """
    stage = Stage(
        name="train",
        folder=paths.models / model.name,
        outputs=(*(f"{MODEL_FOLDER}/{name}" for name in TRANSFORMER_FILES), *PART_SCORES, FIT_FILE, HISTORY_FILE),
        inputs=(paths.movies, paths.splits, paths.genres_json, *encoder_files(find_encoder(model.encoder))),
        config={"model": config_dict(model), **asdict(choices)},
        code=(Path(__file__),),
        packages=("accelerate", "numpy", "tokenizers", "torch", "transformers"),
    )
    return run_stage(stage, partial(_build, paths, model, choices, n_threads))


def _build(
    paths: DataPaths, model: TransformerSpec, choices: TrainChoices, n_threads: int, folder: Path
) -> Mapping[str, Any]:
    with frozen.IMPORTING:
        from tasks.models.encoder import trainer  # noqa: PLC0415
        from tasks.models.encoder.model import TransformerModel, new_network  # noqa: PLC0415

    movies = read_movies(paths)
    genres = train_stage.chosen_genres(read_genres(paths), choices)
    Y = truth_matrix(movies.get_column("genres").to_list(), genres, ignored=read_genres(paths))
    encoder = find_encoder(model.encoder)
    tokenizer, loaded = frozen.load_tokenizer(encoder), frozen.load_network(encoder, model.training.dropout)
    frozen.check_length(loaded, model.max_tokens)
    part = movies.get_column("part").cast(pl.String)
    train, validation = train_rows(movies, choices.train_on), (part == "validation").to_numpy()
    if not validation.any():
        raise ModelError(
            "fine-tuning chooses its best epoch on the validation movies, and there are none; run flows/prepare.py "
            "with a larger share for validation"
        )
    texts = np.array(read_template(movies, model.input, model.template), dtype=object)
    tokens, n_truncated = frozen.tokenise(texts[train].tolist(), tokenizer, model.max_tokens)
    validation_tokens, _ = frozen.tokenise(texts[validation].tolist(), tokenizer, model.max_tokens)
    parts = [trainer.LabelledTokens(tokens, Y[train]), trainer.LabelledTokens(validation_tokens, Y[validation])]
    if n_truncated:
        share = 100 * n_truncated / len(tokens)
        logger.info("%s: %d train texts (%.1f%%) cut at %d tokens", model.name, n_truncated, share, model.max_tokens)
    what = [config_dict(model), asdict(choices), hash_files(encoder_files(encoder))]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for each in parts:
        starts = np.cumsum([0, *map(len, each.tokens)], dtype=np.int64)
        digest.update(np.concatenate(each.tokens).tobytes() + starts.tobytes() + each.Y.tobytes())
    checkpoints = paths.checkpoints / f"{model.name}-{digest.hexdigest()[:12]}"
    start_s = time.perf_counter() - trainer.spent_s(checkpoints)  # the time of a killed training counts
    with trainer.training_slot(model.training.dropout, n_threads):
        network = new_network(loaded, Y[train], model.training.dropout, choices.seed)
        done = trainer.train_within_budget(network, parts, model, checkpoints, choices.seed)
    fit_s = time.perf_counter() - start_s
    logger.info("%s: trained on %s movies in %.0f s", model.name, f"{train.sum():,}", fit_s)
    fitted = TransformerModel(model, genres, done.network, tokenizer)
    for scored, name in zip(SCORED_PARTS, PART_SCORES, strict=True):
        some = movies.filter(part == scored)
        write_scores(folder / name, some["movie_id"].to_list(), fitted.scores(some), genres)
    train_stage.save_model(fitted, movies.head(train_stage.RATE_SAMPLE), fit_s, folder)
    _write_history(done.history, folder / HISTORY_FILE)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return {"train_movies": int(train.sum()), "truncated_texts": n_truncated, **done.counts}


def _write_history(history: list[dict[str, float]], path: Path) -> None:
    """Write one row per evaluation; the trainer's log has one entry for train and one for validation."""
    rows: dict[float, dict[str, float]] = {}
    for entry in history:
        named = {name: entry[key] for name, key in zip(HISTORY_COLUMNS, _LOGGED_AS, strict=True) if key in entry}
        rows.setdefault(entry["step"], {}).update(named, epoch=round(entry["epoch"], 4))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows.values() if "validation_loss" in row)
