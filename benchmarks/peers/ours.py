"""Fit one of our models in this process: `python ours.py SYSTEM FOLDER`, as `theirs.py` fits a peer.

FOLDER also holds `genres.json` and `movies_<part>.parquet`; with train alone, only the cost of the fit is measured.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from measure import measure
from scipy import sparse

from tasks.core.schema import DEFAULT_SEED
from tasks.models.pipeline import GenreModel
from tasks.models.spec import ModelSpec


def main() -> None:
    """Fit the model on text or on vectors, write its scores, print the cost of the fit."""
    system, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    model = ModelSpec.model_validate(system["options"])
    cost, scores = (fit_on_vectors if system["on_vectors"] else fit_on_text)(model, folder)
    if scores:
        np.savez(folder / f"{system['name']}.npz", **scores)
    print(json.dumps(cost))


def fit_on_text(model: ModelSpec, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit representations and classifier."""
    train = pl.read_parquet(folder / "movies_train.parquet")
    genres = tuple(json.loads((folder / "genres.json").read_text(encoding="utf-8")))
    fitted, cost = measure(lambda: GenreModel(model, genres, DEFAULT_SEED).fit(train))
    files = {part: folder / f"movies_{part}.parquet" for part in ("validation", "test")}
    scores = {part: fitted.scores(pl.read_parquet(file)) for part, file in files.items() if file.exists()}
    return {
        **cost,
        "rows": train.height,
        "columns": sum(len(each.get_feature_names_out()) for each in fitted.vectorizers),
    }, scores


def fit_on_vectors(model: ModelSpec, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit the classifier alone."""
    X = {part: sparse.load_npz(folder / f"vectors_{part}.npz") for part in ("train", "validation", "test")}
    Y = np.load(folder / "labels_train.npy")
    names = tuple(map(str, range(Y.shape[1])))
    classifier = model.new_classifier(names, DEFAULT_SEED)
    fitted, cost = measure(lambda: classifier.fit(sparse.csr_array(X["train"]), Y))
    return cost, {part: fitted.predict_proba(sparse.csr_array(X[part])) for part in ("validation", "test")}


if __name__ == "__main__":
    main()
