"""The genres of new descriptions: `python flows/predict.py --text "..."`, or `--input FILE_OR_FOLDER --output ...`."""

import logging
import sys
from pathlib import Path, PurePath

import polars as pl
from prefect import flow
from rich.console import Console
from rich.text import Text

from flows.cli import run_command, run_flow
from flows.config import PredictConfig
from flows.prefect_ui import completed, run_name
from flows.run_context import check_cluster, core_count, log_steps
from tasks.core.errors import ConfigError, DataError, GenreflowError
from tasks.core.markup import LEAST_SHARE, share_of
from tasks.core.settings import data_paths
from tasks.core.storage import in_storage
from tasks.models.explain.attribution import strongest
from tasks.models.explain.page import say_reasons, write_page
from tasks.models.explain.pieces import TEXTS, texts_of
from tasks.models.genre_classifier import GenreClassifier
from tasks.models.predict import Choices, FolderResult
from tasks.models.task import explain_file, predict_file, predict_folder
from tasks.tracking.task import fetch_classifier

# Of words that raise and words that lower, from hardly to strongly: those of `tasks.core.markup`, as a terminal has
# them.
RAISES = ((214, 234, 245), (64, 150, 200))
LOWERS = ((252, 238, 207), (233, 170, 40))
INK = "#111111"


def print_explained(classifier: GenreClassifier, movies: pl.DataFrame, config: PredictConfig) -> None:
    """Print why the movies get their genres, and write the page about it."""
    target = config.explained or data_paths().results / "explained.html"
    table = write_page(classifier, movies, config.rule, target)
    console = Console(highlight=False)
    if table.filter(pl.col("source").is_in(TEXTS), pl.col("contribution") != 0).is_empty():
        console.print("\nNo word of the text says anything to the model.", soft_wrap=True)
    for texts in texts_of(movies):
        for (genre,), rows in table.group_by("genre", maintain_order=True):
            console.print(Text(f"\n{genre}", style="bold"), Text(say_reasons(rows)), sep="\n", soft_wrap=True)
            for text, source in zip(texts, TEXTS, strict=True):
                if text:
                    console.print(coloured_text(text, rows.filter(pl.col("source") == source), strongest(table)))
    console.print(Text(f"\nblue raises, orange lowers; as a page: {target}", style="dim"), soft_wrap=True)


def coloured_text(text: str, rows: pl.DataFrame, full: float) -> Text:
    """Return a text for the terminal, the pieces in the rows (`schema.EXPLANATIONS`) coloured by their contribution."""
    coloured = Text(text)
    for start, end, contribution in rows.select("start", "end", "contribution").iter_rows():
        share = share_of(contribution, full)
        if share >= LEAST_SHARE:
            weak, strong = RAISES if contribution > 0 else LOWERS
            mixed = [round(low + share * (high - low)) for low, high in zip(weak, strong, strict=True)]
            coloured.stylize(f"{INK} on rgb({mixed[0]},{mixed[1]},{mixed[2]})", start, end)
    return coloured


logger = logging.getLogger("flows.predict")


def answer(config: PredictConfig) -> int:
    """Print the genres of one description with their scores. It takes no flow, and so starts no server."""
    import polars as pl  # noqa: PLC0415 - as all of these: `--help` is answered without them

    from tasks.models.genre_classifier import GenreClassifier  # noqa: PLC0415
    from tasks.tracking.stored_model import fetch_classifier  # noqa: PLC0415

    if not (config.text or "").strip():
        logger.warning("there is no text: the genres are those of a movie that nothing is known of")
    classifier = GenreClassifier.load(fetch_classifier(config.model))
    classifier.model.precision = config.precision
    movies = pl.DataFrame({"movie_id": ["this"], "movie_name": [config.title or ""], "description": [config.text]})
    row = classifier.predict(movies, config.rule).row(0, named=True)
    lines = [row["genres"] or "none of the genres", ""]
    for genre in sorted(classifier.genres, key=lambda genre: -row[f"score_{genre}"]):
        score = row[f"score_{genre}"]
        mark = "*" if genre in row["genres"].split(", ") else " "
        lines.append(f"{mark} {genre:<{max(map(len, classifier.genres))}}  {score:.3f}  {'█' * round(score * 30)}")
    sys.stdout.write("\n".join(lines) + "\n")
    if config.explain:
        print_explained(classifier, movies, config)
    return 0


def predict_or_answer(config: PredictConfig) -> int:
    """Score a file in a flow, or one text at once."""
    if config.text is not None:
        return answer(config)
    if config.input is not None and not in_storage(config.input) and not Path(config.input).expanduser().exists():
        raise DataError(f"{config.input} is not there; correct --input")  # before Prefect starts
    run_flow("flows.predict:predict", config)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(PredictConfig, predict_or_answer))


class FilesFailedError(GenreflowError):
    """Some files could not be predicted; the others were."""


@flow(name="predict", flow_run_name=run_name("predict"), persist_result=False)
def predict(config: PredictConfig) -> int:
    """Score a file, or what is new in a folder, with the champion or another model; return the number of rows.

    The first rows of a file are explained if that is asked for.

    Raises:
        ConfigError: no input is given, or Dask's workers cannot take part.
        FilesFailedError: some files of a folder could not be predicted.
    """
    log_steps()
    if config.input is None or config.output is None:
        raise ConfigError("give --input and --output: files or folders to read and to write")
    check_cluster(config)
    fetched = fetch_classifier(config.model, return_state=True)
    model_folder = fetched.result()
    choices = Choices(config.rule, config.precision, config.workers or core_count(), config.dask_address)
    if config.reads_folder:
        result = predict_folder(model_folder, config.input, config.output, choices, wait_for=[fetched])
        n_rows = log_folder(result)
        return completed(f"{n_rows:,} rows in {config.output}", n_rows)
    n_rows = predict_file(model_folder, config.input, config.output, choices, wait_for=[fetched])
    if config.explain:
        beside = config.output.removesuffix(PurePath(config.output).suffix) + ".explained.html"
        page = str(config.explained or beside)
        explain_file(model_folder, config.input, page, config.rule, config.explain_rows, wait_for=[fetched])
    return completed(f"{n_rows:,} rows in {config.output}", n_rows)


def log_folder(result: FolderResult) -> int:
    """Log how much of a folder was predicted; return the number of rows.

    Raises:
        FilesFailedError: some files could not be predicted.
    """
    n_rows = sum(result.rows.values())
    logger.info(
        "predict: %d files with %s rows, %d up to date, %d left out",
        len(result.rows), f"{n_rows:,}", len(result.unchanged), len(result.mistakes),
    )  # fmt: skip
    if result.mistakes:
        raise FilesFailedError("these files could not be predicted:\n  " + "\n  ".join(result.mistakes.values()))
    return n_rows
