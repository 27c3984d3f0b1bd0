"""Starting from what the earlier system had: its clean table or its corpus, from Drive up to a trained model."""

import csv
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import mlflow
import polars as pl
import pytest
import requests

from flows.config import PrepareConfig, TrainConfig
from flows.prepare import prepare
from flows.train import train
from tasks.acquire.download import DRIVE_IDS
from tasks.core.schema import GENRES
from tasks.core.settings import DataPaths, data_paths, settings

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = pytest.mark.filterwarnings("default")

NAMES = sorted(GENRES)  # the order of the earlier system's encoding


def invent_movies() -> dict[str, tuple[list[str], str]]:
    """Return genres and description of some movies, whose words name their genres."""
    movies = {}
    for number in range(10 * len(NAMES)):
        genres = sorted({NAMES[number % len(NAMES)], NAMES[number * 7 % len(NAMES)]})
        words = " and ".join(genre.lower().replace("-", "") for genre in genres)
        movies[f"tt{number:07}"] = (genres, f"A tale of {words} on the river, told {number} times.")
    return movies


MOVIES = invent_movies()


def encoding(genres: list[str]) -> str:
    return str([int(name in genres) for name in NAMES])


def write_clean_data(path: Path) -> None:
    """Write the movies as the earlier system's cleaned table, which pandas numbered."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "movie_id", "movie_name", "description", "genre", "encoded_genre"])
        for index, (movie_id, (genres, text)) in enumerate(MOVIES.items()):
            writer.writerow([index, movie_id, f"Tale {index}", text, str(genres), encoding(genres)])


def write_conllu_data(path: Path) -> None:
    """Write the movies as the earlier system's corpus: encoded genres, and two blank lines between movies."""
    with path.open("w", encoding="utf-8") as file:
        for movie_id, (genres, text) in MOVIES.items():
            file.write(f"# movie_id = {movie_id}\n# genre = {encoding(genres)}\n# text = {text}\n# sent_id = 0\n")
            for number, form in enumerate(text.replace(",", " ,").replace(".", " .").split(), 1):
                file.write(f"{number}\t{form}\t{form.lower()}\tX\t_\t_\t0\t_\t_\t_\n")
            file.write("\n\n\n")


WRITE: dict[str, Callable[[Path], None]] = {"clean_data": write_clean_data, "conllu_data": write_conllu_data}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let gdown find both files at a server on this machine; give the names of those asked for."""
    entries = {drive_id: name for name, drive_id in DRIVE_IDS.items()}
    names: list[str] = []

    class LikeDrive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names.append(entries[parse_qs(urlsplit(self.path).query)["id"][0]])
            WRITE[names[-1]](tmp_path / "published")
            body = (tmp_path / "published").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Disposition", f'attachment; filename="{names[-1]}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    get = requests.Session.get
    with ThreadingHTTPServer(("127.0.0.1", 0), LikeDrive) as server:
        google, here = "https://drive.google.com", f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(requests.Session, "get", lambda self, url, **o: get(self, url.replace(google, here), **o))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield names
        server.shutdown()


@pytest.fixture
def paths(
    prefect_harness: None, own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DataPaths]:
    """A data folder of the test's own; the MLflow store is the session's."""
    monkeypatch.setenv("GENREFLOW_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    yield data_paths()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize("start", WRITE)
def test_data_of_the_earlier_system_is_fetched_once_and_prepared(
    paths: DataPaths, asked: list[str], start: str
) -> None:
    paths.download.mkdir(parents=True)
    paths.downloaded_genres.write_text(json.dumps(NAMES), encoding="utf-8")  # never published: the user has it
    config = PrepareConfig(start_from=start, drive=("genres",), workers=1)
    names = [stage.name for stage in prepare(config=config)]
    assert names == [*(["extract_movies"] if start == "conllu_data" else []), "clean", "annotate", "split"]
    movies = pl.read_parquet(paths.movies)
    assert {row["movie_id"]: (row["genres"], row["description"]) for row in movies.iter_rows(named=True)} == MOVIES
    assert set(movies["description_source"]) == {"import"}
    assert pl.read_parquet(paths.tokens)["tokens"].list.join(" ").str.contains(" river ").all()
    assert not paths.raw.exists()

    assert all(stage.skipped for stage in prepare(config=config))
    assert asked == [start]


def test_data_of_the_earlier_system_is_trained_on(paths: DataPaths, asked: list[str]) -> None:
    paths.download.mkdir(parents=True)
    paths.downloaded_genres.write_text(json.dumps(NAMES), encoding="utf-8")
    prepare(config=PrepareConfig(start_from="clean_data", drive=("genres",), skip=("annotate",)))
    train(config=TrainConfig(models=("nb-counts",), experiment="earlier"))
    client = mlflow.MlflowClient(settings().tracking_uri)
    experiment = client.get_experiment_by_name("earlier")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`genreflow.kind` = 'model'")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/f1_macro"] > 0.3
