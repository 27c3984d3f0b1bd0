"""Search for better parameters of one model: `python flows/search.py --model logreg-title --budget-minutes 10`."""

from flows.cli import run_command
from flows.config import SearchConfig

if __name__ == "__main__":
    raise SystemExit(run_command(SearchConfig, "flows.search:search"))

import logging
import sys
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from prefect import flow

from flows.model_runs import train_choices
from flows.run_context import completed, exclusive, pipeline_run, run_name
from tasks.core.errors import ModelError
from tasks.core.metrics import LOWER_IS_BETTER
from tasks.core.settings import data_paths
from tasks.evaluate.task import measure
from tasks.models.search import Search, open_search, space_of
from tasks.models.spec import features_of
from tasks.models.task import build_features, score_trial
from tasks.stage import config_dict, write_atomically
from tasks.tracking.runs import PipelineRun, data_hash, log_data, start_model_run
from tasks.tracking.task import log_search, log_trial, record_failure

logger = logging.getLogger("flows.search")  # Prefect loads it by its file, under another name


@flow(name="search", flow_run_name=run_name("search"), persist_result=False)
def search(config: SearchConfig) -> None:
    """Try parameters of a model until the trials or the time are used up; write and print the best.

    Raises:
        ModelError: the model cannot be fitted with its original parameters.
        ConfigError: an earlier search of this model had other settings.
    """
    paths, model = data_paths(), config.chosen_model
    settings = {"model": config_dict(model), "metric": config.metric, "rule": config.rule_for_metric}
    with exclusive(paths):
        settings |= {"data": data_hash(paths), **asdict(train_choices(config))}
        file, space = search_file(config, "sqlite"), space_of(model, config.vary)
        study = open_search(file, model, space, settings, config.metric in LOWER_IS_BETTER)
        with pipeline_run(config, paths, {"flow": "search", "model": config.model}) as parent:
            run = replace(parent, tags=parent.tags | log_data(parent, paths))
            start_s = time.monotonic()
            while (reason := stop_reason(config, study, time.monotonic() - start_s)) is None:
                run_trial(config, study, run)
            logger.info("search of %s: %s", config.model, reason)
            text = summary(config, study)
            sys.stdout.write(text)
            return completed(text.splitlines()[0], None)


def search_file(config: SearchConfig, ending: str) -> Path:
    """Return the file of the model's search (`sqlite`) or of the best parameters (`yaml`)."""
    return data_paths().search / f"{config.chosen_model.name}.{ending}"


def stop_reason(config: SearchConfig, study: Search, elapsed_s: float) -> str | None:
    """Return why no further trial should start, else None."""
    if config.trials is not None and study.n_ended >= config.trials:
        return f"{study.n_ended} trials are done; for more, raise --trials"
    if elapsed_s >= config.budget_minutes * 60:
        return f"the {config.budget_minutes:g} minutes are used up; run the same command again to continue"
    return None


def run_trial(config: SearchConfig, study: Search, run: PipelineRun) -> None:
    """Fit and score one set of parameters, and record the result in the study and in MLflow."""
    start_s = time.monotonic()
    trial = study.ask()
    run_id = start_model_run(run, f"trial {trial.number}", {"trial": trial.params}, "trial")
    try:
        specs = features_of(trial.model, config.train_on)
        study.claim_features(data_paths().features, [spec.name for spec in specs])
        features = [build_features(spec, config.seed) for spec in specs]
        scored = score_trial(trial.model, features, train_choices(config), return_state=True)
        metrics = measure(scored.result(), config.rule_for_metric, config.metric, data_paths(), wait_for=[scored])
    except ModelError as error:
        record_failure(run, run_id, f"{type(error).__name__}: {error}", traceback.format_exc())
        if trial.number == 1:
            raise
        study.tell(None)
        logger.warning("trial %s: %s", trial.number, error)
        study.drop_features(data_paths().features)
        return
    value, best_file = metrics[config.metric], search_file(config, "yaml")
    study.tell(value)
    study.drop_features(data_paths().features)
    log_trial(run, run_id, metrics)
    write_atomically(best_file, yaml.safe_dump(best_config(config, study), sort_keys=False))
    best = study.best_value
    assert best is not None  # a trial has ended
    logger.info(
        "trial %s: %s %.4f, best %.4f, %.1f s; %s",
        *(trial.number, config.metric, value, best, time.monotonic() - start_s),
        ", ".join(f"{name} {tried}" for name, tried in trial.params.items()),
    )
    log_search(run, trial.number, {"value": value, "best": best}, best_file)


def best_config(config: SearchConfig, study: Search) -> dict[str, Any]:
    """Return the `flows/train.py` configuration that trains the best model so far."""
    taken = {"own_models", "genres", "without_genres", "seed"}
    chosen = config.model_dump(mode="json", exclude_defaults=True, include=taken)
    params = {**config.model_params.get(config.model, {}), **study.best_params}
    return {"models": [config.model], **chosen, "model_params": {config.model: params}}


def summary(config: SearchConfig, study: Search) -> str:
    """Return what is printed at the end."""
    assert study.best_value is not None
    assert study.first_value is not None
    params = {"model_params": best_config(config, study)["model_params"]}
    return (
        f"best of {study.n_ended} trials: {config.metric} {study.best_value:.4f} under {config.rule_for_metric}; "
        f"with the original parameters {study.first_value:.4f} ({study.best_value - study.first_value:+.4f})\n"
        "Both scores are on validation, where the best was chosen: expect lower ones on test.\n\n"
        f"{yaml.safe_dump(params, sort_keys=False)}\n"
        f"train it: python flows/train.py --config {search_file(config, 'yaml')}\n"
    )
