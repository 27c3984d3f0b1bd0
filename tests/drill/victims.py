"""What the drill harms besides the whole pipeline: three stages of ten lines, and an MLflow run as flows keep it."""

import itertools
from pathlib import Path
from typing import Final

from flows.config import FlowConfig
from tasks.core.settings import data_paths
from tasks.stage import Stage, StageResult, run_stage

NAMES: Final = ("first", "second", "third")
OUTPUTS: Final = ("lines.txt", "deep/count.txt")
LISTING: Final = Path("raw") / "lines.txt"


def run_one_stage(before: str, name: str) -> StageResult:
    """Run a stage that adds a line to what the stage before wrote, and counts the lines."""
    root = data_paths().root
    source = root / before / LISTING.name

    def build(folder: Path) -> dict[str, int]:
        lines = [*source.read_text(encoding="utf-8").splitlines(), name]
        (folder / "deep").mkdir()
        (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
        (folder / "deep" / "count.txt").write_text(str(len(lines)), encoding="utf-8")
        return {"lines": len(lines)}

    return run_stage(Stage(name, root / name, OUTPUTS, (source,), {"adds": 1}, ()), build)


def run_stages(_config: FlowConfig) -> int:
    """Run three stages, each on what the one before wrote."""
    for before, name in itertools.pairwise((LISTING.parent.name, *NAMES)):
        run_one_stage(before, name)
    return 0


def log_a_run(_config: FlowConfig) -> int:
    """Log a pipeline run with the run of one model: params, metrics and a file."""
    from flows.run_context import exclusive, pipeline_run  # noqa: PLC0415
    from tasks.tracking import runs  # noqa: PLC0415

    paths = data_paths()
    with exclusive(paths), pipeline_run(FlowConfig(), paths, {"source": "drill"}) as run:
        child = runs.start_model_run(run, "small", {"C": 1})
        runs.log_metrics(run.experiment, child, {"test/jaccard": 0.5})
        runs.log_files(run.experiment, child, [paths.root / LISTING])
        runs.end_run(run.experiment, child, runs.FINISHED)
    return 0
