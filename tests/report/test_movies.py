from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.schema import EXHIBITS, ROLES
from tasks.core.settings import DataPaths
from tasks.report import task
from tasks.report.movies import EACH, EXHIBITS_FILE, write_exhibits
from tasks.report.sources import RunFacts

WriteRun = Callable[..., list[Path]]

BEST = [[0.1, 0.9, 0], [0.8, 0.9, 0], [0.4, 0.7, 0], [0.2, 0.6, 0], [0.1, 0.1, 0.9], [0.6, 0.4, 0.1]]
RIVAL = [[0.9, 0.1, 0], [0.8, 0.9, 0], [0.9, 0.1, 0], [0.6, 0.4, 0], [0.1, 0.2, 0.8], [0.6, 0.4, 0.1]]


def chosen(paths: DataPaths, role: str) -> list[str]:
    exhibits = pl.read_parquet(paths.results / EXHIBITS_FILE)
    assert exhibits.schema == EXHIBITS
    return exhibits.filter(pl.col("role") == role).sort("rank")["movie_id"].to_list()


def test_each_role_has_its_movies(paths: DataPaths, write_run: WriteRun) -> None:
    write_run(paths, {"tree": BEST, "svm": RIVAL})
    assert chosen(paths, "good") == ["tt0001", "tt0000"]  # several genres first; Drama alone once, by the surest
    assert chosen(paths, "bad") == ["tt0004", "tt0002"]  # by how much surer the wrong genre is
    assert chosen(paths, "disagreement")[:2] == ["tt0000", "tt0003"]
    assert chosen(paths, "disagreement")[-1] == "tt0002"  # the rival is right
    assert chosen(paths, "impossible") == []  # three genres: each is among the three highest
    assert chosen(paths, "doubtful") == []


def test_impossible_movies_are_all_wrong_and_far_off_in_every_model(paths: DataPaths, write_run: WriteRun) -> None:
    genres = ("A", "B", "C", "D", "E")
    far, near, right = [0.9, 0.8, 0.7, 0.2, 0.1], [0.9, 0.8, 0.1, 0.2, 0.3], [0.1, 0.1, 0.1, 0.1, 0.9]
    true = (("E",), ("D",), ("E",), ("E",))
    scores = {"tree": [far, far, far, near], "svm": [far, far, right, far]}
    write_run(paths, scores, true, genres=genres)
    assert chosen(paths, "impossible") == ["tt0000", "tt0001"]  # the last is third in one model, the third is right


def test_one_model_has_no_rival(paths: DataPaths, write_run: WriteRun) -> None:
    write_run(paths, {"tree-a": BEST, "tree-b": RIVAL})
    assert chosen(paths, "disagreement") == []


def test_doubted_movies_are_those_of_the_test_in_the_audits_order(paths: DataPaths, write_run: WriteRun) -> None:
    folders = write_run(paths, {"tree": BEST})
    audit = {"movie_id": ["tt9", "tt0003", "tt0002"], "movie_name": "", "given_genres": "", "doubted": "", "reason": ""}
    pl.DataFrame({**audit, "quality": [0.0, 0.2, 0.1]}).write_parquet(paths.results / "label_audit.parquet")
    write_exhibits(folders, paths)
    assert chosen(paths, "doubtful") == ["tt0002", "tt0003"]


def test_roles_are_known_ranks_are_gapless_and_reruns_are_skipped(paths: DataPaths, write_run: WriteRun) -> None:
    random = np.random.default_rng(1)
    true = [("Comedy",) if flag else ("Drama", "War") for flag in random.random(200) < 0.5]
    folders = write_run(paths, {name: random.random((200, 3)) for name in ("tree", "svm")}, true)
    exhibits = pl.read_parquet(paths.results / EXHIBITS_FILE)
    assert set(exhibits["role"]) <= set(ROLES)
    for _, ranks in exhibits.group_by("role"):
        assert ranks["rank"].to_list() == list(range(1, ranks.height + 1))
        assert ranks["movie_id"].is_unique().all()
        assert ranks.height <= EACH
    assert write_exhibits(folders, paths).skipped


def test_a_leaderboard_of_other_models_is_an_error(paths: DataPaths, write_run: WriteRun) -> None:
    folders = write_run(paths, {"tree": BEST, "svm": RIVAL})
    with pytest.raises(DataError, match="ranks other models"):
        write_exhibits(folders[:1], paths)


def test_the_tasks_work_in_the_data_folder(paths: DataPaths, write_run: WriteRun) -> None:
    folders = write_run(paths, {"tree": BEST, "svm": RIVAL})
    assert task.choose_exhibits.fn(folders).skipped
    task.report.fn(folders, RunFacts())
    assert (paths.results / "report.html").is_file()
