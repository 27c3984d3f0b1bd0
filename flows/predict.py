"""Predict genres for new descriptions: `python flows/predict.py --text "..."`, or `--input PATH --output PATH`."""

import logging
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from flows.cli import run_command, run_flow
from flows.config import PredictConfig
from tasks.core.errors import ConfigError, DataError
from tasks.core.settings import data_paths
from tasks.core.storage import in_storage

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger("flows.predict")  # not __main__, which is not shown

# From a weak to a strong influence: the colours of `tasks.core.page` for a terminal.
RAISES: Final = ((214, 234, 245), (64, 150, 200))
LOWERS: Final = ((252, 238, 207), (233, 170, 40))
INK: Final = "#111111"


def predict_command(config: PredictConfig) -> int:
    """Score a file in a flow, or one text at once, without Prefect; return the exit code."""
    if config.text is not None:
        predict_text(config)
        return 0
    if config.input is not None and not in_storage(config.input) and not Path(config.input).expanduser().exists():
        raise DataError(f"there is no file or folder {config.input}; correct --input")  # before Prefect starts
    run_flow("flows.predict:predict", config)
    return 0


def predict_text(config: PredictConfig) -> None:
    """Print the genres of one description with their scores, and optionally the reasons, which are also a page."""
    import polars as pl

    from tasks.models.genre_classifier import GenreClassifier
    from tasks.tracking.registry import fetch_classifier

    if not (config.text or "").strip():
        logger.warning("the text is empty: the genres are those predicted without any information")
    classifier = GenreClassifier.load(fetch_classifier(config.model), config.precision)
    movies = pl.DataFrame({"movie_id": ["this"], "movie_name": [config.title or ""], "description": [config.text]})
    row = classifier.predict(movies, config.rule).row(0, named=True)
    decided, width = row["genres"].split(", "), max(map(len, classifier.genres))
    lines = [row["genres"] or "none of the genres", ""]
    for genre in sorted(classifier.genres, key=lambda genre: -row[f"score_{genre}"]):
        score, mark = row[f"score_{genre}"], "*" if genre in decided else " "
        lines.append(f"{mark} {genre:<{width}}  {score:.3f}  {'█' * round(score * 30)}")
    sys.stdout.write("\n".join(lines) + "\n")
    if config.explain:
        from tasks.models.explain.page import write_page

        target = config.explained or data_paths().results / "explained.html"
        print_reasons(write_page(classifier, movies, config.rule, target), movies)
        note = Text(f"\nblue raises the score, orange lowers it; as a page: {target}", style="dim")
        Console(highlight=False).print(note, soft_wrap=True)


def print_reasons(table: "pl.DataFrame", movies: "pl.DataFrame") -> None:
    """Print each genre with its reasons (`schema.EXPLANATIONS`) and the movies' texts with coloured words."""
    import polars as pl

    from tasks.models.explain.attribution import strongest
    from tasks.models.explain.page import say_reasons
    from tasks.models.explain.pieces import TEXTS, texts_of

    console = Console(highlight=False)
    if table.filter(pl.col("source").is_in(TEXTS), pl.col("contribution") != 0).is_empty():
        console.print("\nThe model does not know any word of the text.", soft_wrap=True)
    for texts in texts_of(movies):
        for (genre,), rows in table.group_by("genre", maintain_order=True):
            console.print(Text(f"\n{genre}", style="bold"), Text(say_reasons(rows)), sep="\n", soft_wrap=True)
            for text, source in zip(texts, TEXTS, strict=True):
                if text:
                    console.print(highlight(text, rows.filter(pl.col("source") == source), strongest(table)))


def highlight(text: str, rows: "pl.DataFrame", full: float) -> Text:
    """Return a text for the terminal, the pieces in the rows coloured by their contribution."""
    from tasks.core.page import LEAST_SHARE, share_of

    coloured = Text(text)
    for start, end, contribution in rows.select("start", "end", "contribution").iter_rows():
        share = share_of(contribution, full)
        if share >= LEAST_SHARE:
            weak, strong = RAISES if contribution > 0 else LOWERS
            mixed = ",".join(str(round(low + share * (high - low))) for low, high in zip(weak, strong, strict=True))
            coloured.stylize(f"{INK} on rgb({mixed})", start, end)
    return coloured


if __name__ == "__main__":
    raise SystemExit(run_command(PredictConfig, predict_command))

from prefect import flow

from flows.run_context import check_cluster, completed, core_count, log_steps, run_name
from tasks.models.predict import Choices
from tasks.models.task import explain_file, predict_file, predict_folder
from tasks.tracking.task import fetch_classifier


@flow(name="predict", flow_run_name=run_name("predict"), persist_result=False)
def predict(config: PredictConfig) -> int:
    """Score a file, or new files of a folder, with the champion or another model; return the number of rows.

    With `explain`, the first rows of a file are explained.

    Raises:
        ConfigError: no input is given, or Dask's workers cannot take part.
        DataError: some files of a folder could not be scored.
    """
    log_steps()
    if config.input is None or config.output is None:
        raise ConfigError("give --input and --output: files or folders to read and to write")
    check_cluster(config)
    fetched = fetch_classifier(config.model, return_state=True)
    model_folder = fetched.result()
    choices = Choices(
        config.rule, config.precision, config.workers or core_count(), config.dask_address, config.overwrite
    )
    if config.reads_folder:
        scored = predict_folder(model_folder, config.input, config.output, choices, wait_for=[fetched])
        n_rows = sum(scored.rows.values())
        logger.info(
            "predict: %d files with %s rows, %d up to date, %d failed",
            *(len(scored.rows), f"{n_rows:,}", len(scored.unchanged), len(scored.errors)),
        )
        if scored.errors:
            raise DataError("these files could not be scored:\n  " + "\n  ".join(scored.errors.values()))
    else:
        n_rows = predict_file(model_folder, config.input, config.output, choices, wait_for=[fetched])
    if config.explain:
        default = config.output.removesuffix(PurePath(config.output).suffix) + ".explained.html"
        page = str(config.explained or default)
        explain_file(model_folder, config.input, page, config.rule, config.explain_rows, wait_for=[fetched])
    return completed(f"{n_rows:,} rows in {config.output}", n_rows)
