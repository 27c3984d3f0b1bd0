"""Predict genres for new descriptions: `python flows/predict.py --text "..."`, or `--input PATH --output PATH`."""

from pathlib import Path, PurePath

from flows.cli import run_command, run_flow
from flows.config import PredictConfig
from tasks.core.errors import ConfigError, DataError, GenreflowError
from tasks.core.storage import in_storage


def predict_command(config: PredictConfig) -> int:
    """Score a file in a flow, or one text at once; return the exit code."""
    if config.text is not None:
        from flows.predict_text import predict_text

        return predict_text(config)
    if config.input is not None and not in_storage(config.input) and not Path(config.input).expanduser().exists():
        raise DataError(f"there is no file or folder {config.input}; correct --input")  # before Prefect starts
    run_flow("flows.predict:predict", config)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(PredictConfig, predict_command))

import logging

from prefect import flow

from flows.run_context import check_cluster, completed, core_count, log_steps, run_name
from tasks.models.predict import Choices, FolderResult
from tasks.models.task import explain_file, predict_file, predict_folder
from tasks.tracking.task import fetch_classifier

logger = logging.getLogger("flows.predict")  # Prefect loads it by its file, under another name


class FilesFailedError(GenreflowError):
    """Some files could not be scored; the others were."""


@flow(name="predict", flow_run_name=run_name("predict"), persist_result=False)
def predict(config: PredictConfig) -> int:
    """Score a file, or new files of a folder, with the champion or another model; return the number of rows.

    With `explain`, the first rows of a file are explained.

    Raises:
        ConfigError: no input is given, or Dask's workers cannot take part.
        FilesFailedError: some files of a folder could not be scored.
    """
    log_steps()
    if config.input is None or config.output is None:
        raise ConfigError("give --input and --output: files or folders to read and to write")
    check_cluster(config)
    fetched = fetch_classifier(config.model, return_state=True)
    model_folder = fetched.result()
    choices = Choices(config.rule, config.precision, config.workers or core_count(), config.dask_address)
    if config.reads_folder:
        n_rows = log_folder(predict_folder(model_folder, config.input, config.output, choices, wait_for=[fetched]))
    else:
        n_rows = predict_file(model_folder, config.input, config.output, choices, wait_for=[fetched])
    if config.explain:
        default = config.output.removesuffix(PurePath(config.output).suffix) + ".explained.html"
        page = str(config.explained or default)
        explain_file(model_folder, config.input, page, config.rule, config.explain_rows, wait_for=[fetched])
    return completed(f"{n_rows:,} rows in {config.output}", n_rows)


def log_folder(result: FolderResult) -> int:
    """Log how much of a folder was scored; return the number of rows.

    Raises:
        FilesFailedError: some files could not be scored.
    """
    n_rows = sum(result.rows.values())
    logger.info(
        "predict: %d files with %s rows, %d up to date, %d failed",
        *(len(result.rows), f"{n_rows:,}", len(result.unchanged), len(result.errors)),
    )
    if result.errors:
        raise FilesFailedError("these files could not be scored:\n  " + "\n  ".join(result.errors.values()))
    return n_rows
