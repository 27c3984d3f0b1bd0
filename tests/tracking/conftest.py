"""An MLflow database that is made once, which takes seconds, and copied for every test."""

import shutil
from pathlib import Path

import mlflow
import pytest

from tasks.core.settings import DataPaths


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing of ours in them."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def paths(paths: DataPaths, empty_database: Path, tmp_path: Path) -> DataPaths:
    """The layout of a fresh data folder, beside a fresh MLflow store."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    return paths
