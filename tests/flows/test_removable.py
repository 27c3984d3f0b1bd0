import os
from pathlib import Path

import pytest

from flows.tidy import find_removable, remove, size_mb
from tasks.core.settings import DataPaths

NAMES = (
    "raw/drama.csv", "clean/movies.parquet", "models/svm/scores.parquet", "results/report.html", "logs/1.log",
    "logs/2.log", "logs/3.log", "compared/abc/svm/metrics.json", "features/x/terms.json", "clean/.unfinished-clean-1/a",
)  # fmt: skip


@pytest.fixture
def full(tmp_path: Path) -> DataPaths:
    """A data folder with something of everything, in the order in which it came."""
    for age, name in enumerate(NAMES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000)
        os.utime(path, (age, age))
    return DataPaths(tmp_path)


def left(paths: DataPaths) -> set[str]:
    return {str(path.relative_to(paths.root)) for path in paths.root.rglob("*") if path.is_file()}


def test_old_logs_copies_and_half_written_files_go_and_nothing_else(full):
    found = find_removable(full, keep_logs=1, caches=False)
    assert size_mb(found) == pytest.approx(0.004)
    remove(found)
    gone = {"logs/1.log", "logs/2.log", "compared/abc/svm/metrics.json", "clean/.unfinished-clean-1/a"}
    assert left(full) == set(NAMES) - gone


def test_caches_go_when_asked_for(full):
    remove(find_removable(full, keep_logs=3, caches=True))
    gone = {"compared/abc/svm/metrics.json", "features/x/terms.json", "clean/.unfinished-clean-1/a"}
    assert left(full) == set(NAMES) - gone


def test_an_empty_folder_has_no_leftovers(tmp_path):
    assert find_removable(DataPaths(tmp_path), 0, True) == []
