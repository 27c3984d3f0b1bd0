"""Cross-validations in MLflow: what of a model's folds is logged, and under which names."""

import json
from pathlib import Path

from tasks.paths import data_paths
from tasks.tracking import runs
from tasks.tracking.runs import PipelineRun


def log_folds(run: PipelineRun, run_id: str, folder: Path) -> None:
    """Log what `tasks.evaluate.out_of_fold` left in a model's folder to the model's run.

    The chosen rule's metrics are `cv/<metric>` and `cv/<metric>_std`, mean and standard deviation over folds, and
    `fold/<metric>`, whose steps are the folds; each rule has its `verbose/rules/<rule>/cv_jaccard`.
    """
    stored = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    chosen, rules = stored["chosen_rule"], stored["rules"]
    metrics = {f"cv/{name}": values["mean"] for name, values in rules[chosen].items()}
    metrics |= {f"cv/{name}_std": values["std"] for name, values in rules[chosen].items()}
    metrics |= {f"{runs.MANY}rules/{rule}/cv_jaccard": values["jaccard"]["mean"] for rule, values in rules.items()}
    metrics["time/fit_s"] = json.loads((folder / "fit.json").read_text(encoding="utf-8"))["fit_s"]
    runs.log_metrics(run.experiment, run_id, metrics)
    for fold in range(len(rules[chosen]["jaccard"]["folds"])):
        of_fold = {f"fold/{name}": values["folds"][fold] for name, values in rules[chosen].items()}
        runs.log_metrics(run.experiment, run_id, of_fold, step=fold)
    run.experiment.client().set_tag(run_id, "genreflow.rule", chosen)
    runs.log_datasets(run, run_id, data_paths())
    runs.log_files(run.experiment, run_id, sorted(folder.iterdir()))
