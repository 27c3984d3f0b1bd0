"""What comes with the models' configuration: nothing that takes seconds."""

import json
import subprocess
import sys

NAMES = ("choose", "classifier", "ensemble", "features", "fine_tuned", "registry")


def test_configuration_and_serving_pull_in_no_torch(tmp_path):
    modules = "flows.config, " + ", ".join(f"tasks.models.{name}" for name in NAMES)
    probe = f"import json, sys, {modules}; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "accelerate", "tokenizers", "onnxruntime"} & set(json.loads(done.stdout))
