"""Which models the last training run finished, as a file: whoever compares or promotes them later starts from it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.errors import DataError
from tasks.paths import DataPaths
from tasks.stage import write_atomically
from tasks.tracking.runs import PipelineRun
from tasks.tracking.store import Experiment, kept_address


@dataclass(frozen=True)
class LoggedModel:
    """A model of a run: its name, its folder, its MLflow run and the address of what was logged."""

    name: str
    folder: Path
    run_id: str
    model_uri: str
    data_hash: str = ""  # of the data that it was trained and tested on; "" where unknown


def save_last_run(paths: DataPaths, run: PipelineRun, logged: Sequence[LoggedModel]) -> None:
    """Write a run and its finished models. The store's address is the one without its password."""
    content = {"run": asdict(run), "models": [{**asdict(model), "folder": str(model.folder)} for model in logged]}
    write_atomically(paths.last_run, json.dumps(content, indent=1) + "\n")


def load_last_run(paths: DataPaths) -> tuple[PipelineRun, list[LoggedModel]]:
    """Read what `save_last_run` wrote.

    Raises:
        DataError: nothing was trained in this data folder yet, no model was finished, or the file is damaged.
    """
    try:
        content = json.loads(paths.last_run.read_text(encoding="utf-8"))
        store = content["run"]["experiment"]
        store["tracking_uri"] = kept_address(store["tracking_uri"])  # earlier versions wrote the whole
        run = PipelineRun(**{**content["run"], "experiment": Experiment(**store)})
        models = [LoggedModel(**{**model, "folder": Path(model["folder"])}) for model in content["models"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{paths.last_run} is missing or damaged ({error}); run flows/train.py first") from error
    if not models:
        raise DataError(f"{paths.last_run}: every model of the last run failed, so there is nothing to compare")
    return run, models
