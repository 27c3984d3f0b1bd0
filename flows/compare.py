"""The leaderboard and the champion of the last run: `python flows/compare.py`."""

from flows.command_line import run_command
from flows.config import CompareConfig

if __name__ == "__main__":
    raise SystemExit(run_command(CompareConfig, "flows.compare:compare"))

import logging
import sys

from prefect import flow

from flows.runtime import exclusive
from tasks.paths import data_paths
from tasks.report.task import draw_champion, leaderboard
from tasks.settings import settings
from tasks.tracking.last_run import load_last_run
from tasks.tracking.task import promote

logger = logging.getLogger(__name__)


@flow(name="compare", persist_result=False)
def compare(config: CompareConfig) -> None:
    """Rank the models of the last run by their validation scores, and make the best one the champion.

    Raises:
        DataError: nothing was trained yet, or every model of the last run failed.
    """
    del config  # how to choose is to come with more than one way to do it
    paths = data_paths()
    with exclusive(paths):
        run, models = load_last_run(paths)
        ranked = leaderboard([model.folder for model in models])
        sys.stdout.write((paths.results / "leaderboard.txt").read_text(encoding="utf-8"))
        best = next(model for model in models if model.name == ranked.counts["champion"])
        draw_champion(best.folder)
        version, replaced = promote(
            run, best, sorted(paths.results.glob("leaderboard.*")) + sorted(paths.results.glob("published.*"))
        )
        logger.info("champion: %s, version %s of movie-genre-classifier%s", best.name, version, replaced)
        logger.info("results: %s", paths.results)
        logger.info("look at the runs: %s", ui_command())


def ui_command() -> str:
    """Return the command that opens the MLflow UI on the store in force."""
    uri = settings().tracking_uri
    if not uri.startswith("sqlite:"):
        return f"open {uri}"
    return f"mlflow ui --backend-store-uri {uri} --host 127.0.0.1 (or `make ui`)"
