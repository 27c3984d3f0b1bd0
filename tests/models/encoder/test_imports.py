"""Importing the models' configuration and tasks loads nothing of the extra `encoders`."""

import json
import subprocess
import sys

NAMES = ("blend", "encoder.fine_tune", "explain.importance", "explain.page", "genre_classifier", "registry", "task")


def test_configuration_tasks_and_serving_import_no_torch(tmp_path):
    modules = "flows.config, " + ", ".join(f"tasks.models.{name}" for name in NAMES)
    probe = f"import json, sys, {modules}; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "accelerate", "tokenizers", "onnxruntime", "captum"} & set(
        json.loads(done.stdout)
    )
