"""The UIs of Prefect and MLflow, the report and the demo in a real browser, on the store of a finished pipeline run."""

import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from flows.full_pipeline import full_pipeline
from flows.model_runs import ModelsFailedError
from tasks.core.settings import PROJECT_ROOT

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("default")]


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium on the PATH: apt install chromium")
def test_runs_metrics_comparison_charts_artifacts_and_report_are_seen(finished, tmp_path):
    """The command waits for each of them to be there, and fails where one is not."""
    with pytest.raises(ModelsFailedError):
        full_pipeline(config=finished.config)  # other tests may have left a last run in which all models failed
    own = {"GENREFLOW_DATA_DIR": str(finished.paths.root), "MLFLOW_TRACKING_URI": finished.tracking_uri}
    command = [sys.executable, str(PROJECT_ROOT / "docs" / "screenshots.py"), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    pictures = {path.name: Image.open(path) for path in tmp_path.iterdir()}
    mlflow = {"mlflow-runs.png", "mlflow-genres.png", "mlflow-compare.png"}
    assert set(pictures) == {*mlflow, "prefect-run.png", "report.png", "demo.png"}
    for name, picture in pictures.items():
        assert len(picture.convert("L").getcolors(1 << 20)) > 20, f"{name} is nearly blank"
