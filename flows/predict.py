"""The genres of new descriptions: `python flows/predict.py --text "..."`, or `--input FILE.csv --output OUT.csv`."""

import sys

from flows.command_line import run_command, run_flow
from flows.config import PredictConfig


def answer(config: PredictConfig) -> int:
    """Print the genres of one description with their scores. It takes no flow, and so starts no server."""
    import polars as pl  # noqa: PLC0415 - as all of these: `--help` is answered without them

    from tasks.models.classifier import GenreClassifier  # noqa: PLC0415
    from tasks.tracking.stored_model import fetch_classifier  # noqa: PLC0415

    classifier = GenreClassifier.load(fetch_classifier(config.model))
    movies = pl.DataFrame({"movie_id": ["this"], "movie_name": [config.title or ""], "description": [config.text]})
    row = classifier.predict(movies, config.rule).row(0, named=True)
    lines = [row["genres"] or "none of the genres", ""]
    for genre in sorted(classifier.genres, key=lambda genre: -row[f"score_{genre}"]):
        score = row[f"score_{genre}"]
        mark = "*" if genre in row["genres"].split(", ") else " "
        lines.append(f"{mark} {genre:<{max(map(len, classifier.genres))}}  {score:.3f}  {'█' * round(score * 30)}")
    sys.stdout.write("\n".join(lines) + "\n")
    if config.explain:
        from flows.explained import print_explained  # noqa: PLC0415

        print_explained(classifier, movies, config)
    return 0


def predict_or_answer(config: PredictConfig) -> int:
    """Score a file in a flow, or one text at once."""
    if config.text is not None:
        return answer(config)
    run_flow("flows.predict:predict", config)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(PredictConfig, predict_or_answer))

from prefect import flow

from tasks.errors import ConfigError
from tasks.models.task import explain_file, predict_file
from tasks.tracking.task import fetch_classifier


@flow(name="predict", persist_result=False)
def predict(config: PredictConfig) -> int:
    """Score a CSV file with the champion or another model, explain its first rows if asked to; return how many it has.

    Raises:
        ConfigError: no file is given.
    """
    if config.input is None or config.output is None:
        raise ConfigError("give --input and --output: CSV files to read and to write")
    model_folder = fetch_classifier(config.model)
    n_rows = predict_file(model_folder, config.input, config.output, config.rule, config.precision)
    if config.explain:
        page = config.explained or config.output.with_suffix(".explained.html")
        explain_file(model_folder, config.input, page, config.rule, config.explain_rows)
    return n_rows
