"""Fixtures for all tests: a data folder of their own, and the real listings where they are at hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.paths import DataPaths, data_paths
from tasks.settings import PROJECT_ROOT, settings

REAL_LISTINGS = Path(
    os.environ.get("GENREFLOW_REAL_LISTINGS", PROJECT_ROOT.parent / "shared" / "data" / "imdb-by-genre" / "raw")
)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataPaths]:
    """The layout of a fresh data folder that the settings point to for the time of one test."""
    monkeypatch.setenv("GENREFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GENREFLOW_MLRUNS_DIR", str(tmp_path / "mlruns"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings.cache_clear()
    yield data_paths()
    settings.cache_clear()


@pytest.fixture(scope="session")
def real_listings() -> Path:
    """The folder of real per-genre CSVs; its licence keeps it out of the repository."""
    if not any(REAL_LISTINGS.glob("*.csv")):
        pytest.skip(f"no real listings in {REAL_LISTINGS}: set GENREFLOW_REAL_LISTINGS to a folder of Kaggle CSVs")
    return REAL_LISTINGS
