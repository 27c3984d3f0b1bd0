"""What comes with the models' configuration: nothing that takes seconds."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "tasks.models.classifier",
        "tasks.models.registry",
        "tasks.models.ensemble",
        "tasks.models.features",
        "flows.config",
    ],
)
def test_configuration_and_serving_pull_in_no_torch(module, tmp_path):
    probe = f"import json, sys, {module}; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "accelerate", "tokenizers", "onnxruntime"} & set(json.loads(done.stdout))
