"""Where the data folder may lie."""

import pytest

from tasks.core.errors import ConfigError
from tasks.core.settings import data_paths


@pytest.mark.parametrize("sign", ["[1]", "*", "?"])
def test_a_data_folder_that_polars_takes_for_a_pattern_is_refused(settings_in, tmp_path, sign):
    with (
        settings_in(tmp_path / f"run{sign}"),
        pytest.raises(ConfigError, match="set GENREFLOW_DATA_DIR to one without"),
    ):
        data_paths()


def test_any_other_folder_is_taken(settings_in, tmp_path):
    with settings_in(tmp_path / "run (1) é {2}"):
        assert data_paths().root.is_relative_to(tmp_path / "run (1) é {2}")
