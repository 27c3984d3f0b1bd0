"""One Prefect server for all flow tests, and one finished pipeline run that several tests look at."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from flows.config import PipelineConfig
from tasks.core.settings import DataPaths, data_paths, settings

MODELS = ("logreg-tfidf", "logreg-lemmas", "svm-title", "nb-counts")
BROKEN = "nb-counts"


@dataclass(frozen=True)
class FinishedPipeline:
    """A pipeline run on a small sample, in which one model was made to fail."""

    paths: DataPaths
    tracking_uri: str
    config: PipelineConfig
    error: Exception
    last_run: str  # what it left for a comparison

    def is_last_again(self) -> None:
        """Make it the last run of its data folder, whatever other tests ran there since."""
        self.paths.last_run.write_text(self.last_run, encoding="utf-8")


@pytest.fixture(scope="session")
def prefect_harness() -> Iterator[None]:
    """A Prefect server on a temporary database."""
    with prefect_test_harness(server_startup_timeout=600):
        yield


@pytest.fixture(scope="session")
def own_folders(settings_in, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Settings that point to folders of the session's own."""
    root = tmp_path_factory.mktemp("pipeline")
    with settings_in(root):
        yield root


@pytest.fixture(scope="session")
def finished(prefect_harness: None, own_folders: Path) -> FinishedPipeline:
    """The pipeline's own flow on 300 invented movies; the naive Bayes model is asked for the impossible."""
    from flows.full_pipeline import full_pipeline  # noqa: PLC0415 - takes seconds, and only these tests want it
    from flows.model_runs import ModelsFailedError  # noqa: PLC0415

    config = PipelineConfig(
        sample={"n_movies": 300},
        models=MODELS,
        model_params={BROKEN: {"min_movies": 100_000}},
        explore={"of": "clean"},
        experiment="test",
    )
    with pytest.raises(ModelsFailedError) as raised:
        full_pipeline(config=config)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    paths = data_paths()
    last_run = paths.last_run.read_text(encoding="utf-8")
    return FinishedPipeline(paths, settings().tracking_uri, config, raised.value, last_run)
