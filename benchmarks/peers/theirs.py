"""Fit one peer in this process: `python theirs.py SYSTEM FOLDER`, where SYSTEM is its name and options as JSON.

FOLDER holds `texts.json` (texts by part), `labels_train.npy` (movies × genres) and `vectors_<part>.npz`. Scores and the
peer's own decisions go to `<name>.npz`, the cost to standard output. Each peer is used as its manual says. Nothing of
genreflow is imported, because it is not in the peers' environment.
"""

import json
import re
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from measure import measure
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

SEED = 42069

Options = dict[str, Any]
Rows = Any  # list of texts, or sparse vectors
Predict = Callable[[Rows], tuple[NDArray[Any], NDArray[np.bool_]]]  # of rows: scores in [0, 1], own decisions
Fit = Callable[[Rows, NDArray[np.bool_]], Predict]


def scikit_learn(options: Options) -> Fit:
    """One-vs-rest as in scikit-learn's user guide: a pipeline, its defaults, and `predict` as the decision."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - each peer has its own packages
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.multiclass import OneVsRestClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    estimators = {"LogisticRegression": LogisticRegression(max_iter=1000), "LinearSVC": LinearSVC(random_state=SEED)}

    def fit(rows: Rows, Y: NDArray[np.bool_]) -> Predict:
        vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        model = make_pipeline(vectors, OneVsRestClassifier(estimators[options["estimator"]]))
        model.fit(rows, Y.astype(int))

        def predict(rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            has_odds = options["estimator"] == "LogisticRegression"
            scores = model.predict_proba(rows) if has_odds else expit(model.decision_function(rows))
            return scores, model.predict(rows).astype(bool)

        return predict

    return fit


def libmultilabel(options: Options) -> Fit:
    """A linear trainer of LibMultiLabel after its own preprocessor; scores above 0 are decided."""
    import psutil  # noqa: PLC0415 - as above
    from libmultilabel import linear  # noqa: PLC0415

    psutil.cpu_count = lambda logical=True: 1  # noqa: ARG005 - how many threads it takes is not to be chosen otherwise
    train = {"1vsrest": linear.train_1vsrest, "thresholding": linear.train_thresholding}[options["trainer"]]
    np.random.seed(SEED)  # noqa: NPY002 - what its cross-validation draws from
    warm_up = sparse.csr_matrix(np.eye(4))  # its conversion of matrices is compiled at the first call
    train(warm_up, warm_up, options="", verbose=False)

    def fit(rows: Rows, Y: NDArray[np.bool_]) -> Predict:
        preprocessor = linear.Preprocessor()

        def vectors(rows: Rows) -> sparse.csr_matrix:
            if not isinstance(rows, list):
                return sparse.csr_matrix(rows)
            return preprocessor.transform({"data_format": "txt", "test": {"x": rows, "y": []}})["test"]["x"]

        if isinstance(rows, list):
            numbered = [np.flatnonzero(y).tolist() for y in Y]
            data = {"data_format": "txt", "classes": list(range(Y.shape[1])), "train": {"x": rows, "y": numbered}}
            transformed = preprocessor.fit_transform(data)["train"]
            X, labels = transformed["x"], transformed["y"]
        else:
            X, labels = vectors(rows), sparse.csr_matrix(Y.astype(float))
        model = train(labels, X, options=options["options"], verbose=False)

        def predict(rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            values = linear.predict_values(model, vectors(rows))
            return expit(values), values > 0

        return predict

    return fit


def fasttext(options: Options) -> Fit:
    """One-vs-all as in fastText's tutorial on supervised classification: its cleaning, its options, 0.5 or more."""
    import fasttext as package  # noqa: PLC0415 - as above

    def clean(text: str) -> str:
        return " ".join(re.sub(r"([.!?,'/()])", r" \1 ", text.lower()).split())

    def fit(rows: Rows, Y: NDArray[np.bool_]) -> Predict:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            lines = [
                " ".join([*(f"__label__{genre}" for genre in np.flatnonzero(y)), clean(text)])
                for text, y in zip(rows, Y, strict=True)
            ]
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            model = package.train_supervised(input=str(file), thread=1, seed=SEED, verbose=0, **options)

        def predict(rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            scores = np.zeros((len(rows), Y.shape[1]))
            for row, text in enumerate(rows):
                # Not `model.predict`, which fails with numpy 2 (`copy=False`).
                for score, label in model.f.predict(clean(text) + "\n", -1, 0.0, "strict"):
                    scores[row, int(label.removeprefix("__label__"))] = score
            return np.clip(scores, 0, 1), scores >= 0.5

        return predict

    return fit


PEERS: dict[str, tuple[Callable[[Options], Fit], tuple[str, ...]]] = {
    "scikit-learn": (scikit_learn, ("scikit-learn",)),
    "libmultilabel": (libmultilabel, ("libmultilabel", "liblinear-multicore", "scikit-learn")),
    "fasttext": (fasttext, ("fasttext",)),
}


def main() -> None:
    """Fit the peer, write its scores and decisions on validation and test, print the cost of the fit."""
    system, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    new_fit, packages = PEERS[system["peer"]]
    fit = new_fit(system["options"])
    if system["on_vectors"]:
        rows = {part: sparse.load_npz(folder / f"vectors_{part}.npz") for part in ("train", "validation", "test")}
    else:
        rows = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    Y = np.load(folder / "labels_train.npy")
    predict, cost = measure(lambda: fit(rows["train"], Y))
    validation, test = predict(rows["validation"]), predict(rows["test"])
    np.savez(folder / f"{system['name']}.npz", validation=validation[0], test=test[0], decided=test[1])
    print(json.dumps({**cost, "versions": {package: version(package) for package in packages}}))


if __name__ == "__main__":
    main()
