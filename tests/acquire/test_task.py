from tasks.acquire.config import SampleConfig
from tasks.acquire.task import acquire
from tasks.paths import DataPaths


def test_the_task_fills_the_data_folder_of_the_settings(paths: DataPaths) -> None:
    result = acquire.fn("sample", SampleConfig(n_movies=5), 1)
    assert result.folder == paths.raw
    assert (paths.raw / "scifi.csv").is_file()
