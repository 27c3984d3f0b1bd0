"""Tables written for one test, and cleaning them in one call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.clean.own_table import TableConfig, build_own_movies
from tasks.clean.profiles import CleanConfig, table_profile
from tasks.clean.rules import Ledger

Clean = Callable[..., tuple[pl.DataFrame, Ledger]]


def write_table(frame: pl.DataFrame, path: Path) -> Path:
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


@pytest.fixture
def clean_frame(tmp_path: Path) -> Clean:
    """Write a frame as CSV or parquet and clean it: the movies and the ledger."""

    def clean(frame: pl.DataFrame, form: str = "csv", clean: Any = None, **mapping: Any) -> tuple[pl.DataFrame, Ledger]:
        path = write_table(frame, tmp_path / f"table.{form}")
        table = TableConfig.model_validate({"id": "key", "text": "body", "labels": "tags", "min_rows": 1, **mapping})
        ledger = Ledger()
        profile = table_profile(CleanConfig.model_validate(clean or {}))
        return build_own_movies(path, table, profile, ledger), ledger

    return clean
