"""The drill's own modules, and what all of its commands share: a Prefect server and a process that forks them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # beside the tests, as these are no package
