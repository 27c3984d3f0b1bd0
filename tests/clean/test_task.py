from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.clean.profiles import CleanConfig
from tasks.clean.task import clean
from tasks.core.settings import DataPaths


def test_the_task_cleans_the_configured_folder(
    row: Callable[..., dict[str, str]], listing: Callable[..., Path], paths: DataPaths, caplog: pytest.LogCaptureFixture
) -> None:
    paths.root.mkdir()
    listing(row("tt1"), row("tt1")).parent.rename(paths.raw)
    with caplog.at_level("INFO"):
        result = clean.fn(CleanConfig())
    assert result.counts["movies_kept"] == 1
    assert paths.movies.is_file()
    assert "clean: 1 movies of 2 rows" in caplog.text
