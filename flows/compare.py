"""The leaderboard and the champion: `python flows/compare.py [--runs ID,ID | --experiment NAME] [--pair A,B]`."""

from flows.command_line import run_command
from flows.config import CompareConfig

if __name__ == "__main__":
    raise SystemExit(run_command(CompareConfig, "flows.compare:compare"))

import logging
import sys
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.in_prefect import completed, run_name, show_leaderboard, show_report, show_verdict
from flows.reporting import write_run_report
from flows.runtime import core_count, exclusive, pipeline_run
from tasks.paths import data_paths
from tasks.report.task import compare_pair, draw_models, judge_challenger, leaderboard
from tasks.report.versus import check_pair
from tasks.tracking.last_run import LoggedModel
from tasks.tracking.runs import PipelineRun
from tasks.tracking.task import (
    choose_models,
    find_champion,
    last_models,
    log_comparison,
    log_pictures,
    log_report,
    promote,
    roll_back,
)

logger = logging.getLogger("flows.compare")  # Prefect loads it by its file, under another name

RESULTS = ("leaderboard.*", "pareto.*", "versus*", "published.*")


@flow(name="compare", flow_run_name=run_name("compare"), persist_result=False)
def compare(config: CompareConfig) -> State[Any]:
    """Rank the models of the last run, or of chosen MLflow runs, by their validation scores; promote the best.

    Raises:
        ConfigError: a chosen run, experiment or model does not exist, or one of the pair is not compared.
        DataError: nothing was trained yet, no model is left, or the models were not tested on the same movies.
        ModelError: there is no version to roll back to.
    """
    paths = data_paths()
    with exclusive(paths):
        if config.rollback:
            outcome = roll_back(config.promotion.registered_model)
            logger.info("%s", outcome)
            return completed(outcome)
        if config.chooses_runs:
            models = choose_models(config.runs, config.experiment, config.filter)
            with pipeline_run(config, paths, {"flow": "compare", "kind": "comparison"}) as run:
                return completed(compare_models(config, run, models))
        return completed(compare_models(config, *last_models()))


def compare_models(config: CompareConfig, run: PipelineRun, models: list[LoggedModel]) -> str:
    """Write and log what compares the models, let the best challenge the champion, and return what came of it."""
    by_name = {model.name: model for model in models}
    check_pair(config.pair, list(by_name))
    results = data_paths().results
    folders = [model.folder for model in models]
    ranked = leaderboard(folders, {model.name: model.data_hash for model in models if model.data_hash}, config.forms)
    sys.stdout.write((results / "leaderboard.txt").read_text(encoding="utf-8"))
    best, *others = (by_name[name] for name in ranked.counts["order"])
    compare_pair([model.folder for model in (best, *others)], config.pair, draws=config.draws_all)
    draw_models(folders, core_count(), wanted=config.draws_all)
    if config.draws_all and not config.chooses_runs:  # models of other runs are only fetched
        log_pictures(run, models)
    log_comparison(run, best, sorted(file for pattern in RESULTS for file in results.glob(pattern)))
    outcome = challenge(config, run, best)
    logger.info("%s", outcome)
    show_leaderboard(results / "leaderboard.csv", run)
    show_verdict(outcome, run)
    if config.report and not config.chooses_runs:  # of chosen runs only tables are at hand
        log_report(run, write_run_report(run, [model.folder for model in (best, *others)], outcome, config.forms))
        logger.info("report: %s", results / "report.html")
        show_report(results / "report.html", run)
    elif (results / "report.html").is_file():
        logger.info("report: %s is of an earlier comparison; only tables and pictures are new", results / "report.html")
    logger.info("results: %s", results)
    logger.info("look at the runs: %s", ui_command(run.experiment.tracking_uri))
    return f"{best.name} is the best of {len(models)}; {outcome}"


def challenge(config: CompareConfig, run: PipelineRun, best: LoggedModel) -> str:
    """Let the best model challenge the champion, unless the configuration says otherwise; return what came of it."""
    if not config.promotes:
        return f"the champion is not challenged; --promotion.enabled true lets {best.name} do so"
    registered = config.promotion.registered_model
    champion = find_champion(run, best, registered)
    return promote(run, best, champion, judge_challenger(best.folder, champion, config.promotion), registered)


def ui_command(uri: str) -> str:
    """Return the command that opens the MLflow UI on a store, given as its address is kept: without a password."""
    if uri.startswith(("http:", "https:")):
        return f"open {uri}"
    if not uri.startswith("sqlite:"):
        return 'mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI" --host 127.0.0.1 (or `make ui`)'
    return f"mlflow ui --backend-store-uri {uri} --host 127.0.0.1 (or `make ui`)"
