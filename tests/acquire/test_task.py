from typing import Any

import pytest

from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.task import acquire, fetch_files
from tasks.core.settings import DataPaths


def test_the_task_fills_the_data_folder_of_the_settings(paths: DataPaths) -> None:
    result = acquire.fn("sample", SampleConfig(n_movies=5), 1)
    assert result.folder == paths.raw
    assert (paths.raw / "scifi.csv").is_file()


def test_the_task_logs_how_many_files_were_fetched(
    paths: DataPaths, make_zip: Any, caplog: pytest.LogCaptureFixture
) -> None:
    paths.download.mkdir(parents=True)
    listing = "movie_id,movie_name,genre,description\ntt1,Salt,War,Two sailors wait.\n"
    make_zip({"war.csv": listing}).rename(paths.download / "imdb-movies-dataset-based-on-genre.zip")
    with caplog.at_level("INFO"):
        assert acquire.fn("kaggle", SampleConfig(), 1, DownloadConfig()).counts["files"] == 1
    assert "acquire: 0 fetched, 1 skipped (already here)" in caplog.text


def test_the_task_for_drive_brings_files_to_their_places(paths: DataPaths, caplog: pytest.LogCaptureFixture) -> None:
    paths.download.mkdir(parents=True)
    (paths.download / "clean_data.csv").write_text("movie_id\n")
    with caplog.at_level("INFO"):
        files = fetch_files.fn(("clean_data",), DownloadConfig())
    assert [file.path for file in files] == [paths.download / "clean_data.csv"]
    assert "drive: 0 fetched, 1 skipped (already here), 9 bytes in total" in caplog.text
