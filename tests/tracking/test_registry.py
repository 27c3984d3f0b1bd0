"""The champion in a real MLflow store of the test's own: how it changes, and how it returns."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import polars as pl
import pytest
from mlflow.exceptions import MlflowException

from tasks.core.errors import DataError, ModelError
from tasks.core.metrics import REGISTERED_NAME, Verdict
from tasks.core.schema import PREDICTIONS
from tasks.tracking import runs
from tasks.tracking.registry import (
    LONGEST,
    ChampionChangedError,
    champion_version,
    find_champion,
    note_judged,
    promote,
    roll_back,
    write_card,
)
from tasks.tracking.runs import LoggedModel

pytestmark = pytest.mark.filterwarnings("default")  # MLflow and SQLAlchemy warn in depths that are not ours


@pytest.fixture
def run(paths):
    return runs.start_pipeline_run("test", {}, paths, {"source": "sample"})


def log(run, name: str, folder: Path) -> LoggedModel:
    """Log what comparing a model needs, and an empty model."""
    folder = folder / name
    folder.mkdir()
    for file in ("metrics.json", "fit.json"):
        (folder / file).write_text("{}")
    (folder / "rules.json").write_text(json.dumps({"genres": ["Drama"]}))
    row = ("tt1", ["Drama"], ["Drama"], 1.0)
    pl.DataFrame([row], schema=PREDICTIONS, orient="row").write_parquet(folder / "predictions_test.parquet")
    run_id = runs.start_model_run(run, name, {})
    client = run.experiment.client()
    client.set_tag(run_id, "genreflow.data_hash", "abc")
    runs.log_files(run.experiment, run_id, sorted(folder.iterdir()))
    model = client.create_logged_model(run.experiment.experiment_id, name, run_id)
    return LoggedModel(name, folder, run_id, f"models:/{model.model_id}", "abc")


def no_answer(*_arguments, **_options):
    raise MlflowException("API request to http://127.0.0.1/api failed with exception: no answer")


def crown(run, model: LoggedModel, paths, difference: str = "") -> int:
    client = run.experiment.client()
    return promote(client, model, find_champion(run.experiment, model, paths), Verdict(True, "because", difference))


def test_no_champion_yet(run, paths, tmp_path):
    model = log(run, "a", tmp_path)
    assert find_champion(run.experiment, model, paths) is None
    with pytest.raises(ModelError, match="no champion to roll back from"):
        roll_back()


def test_the_champion_is_found_with_its_results(run, paths, tmp_path):
    first, second = (log(run, name, tmp_path) for name in "ab")
    assert crown(run, first, paths) == 1
    found = find_champion(run.experiment, second, paths)
    assert (found.version, found.model, found.source, found.data_hash) == (1, "a", "sample", "abc")
    assert not found.is_challenger
    assert found.folder is not None
    assert {path.name for path in found.folder.iterdir()} == {path.name for path in first.folder.iterdir()}
    assert find_champion(run.experiment, first, paths).is_challenger


def test_a_champion_of_an_earlier_version_is_known_by_its_params(run, paths, tmp_path):
    first, second = (log(run, name, tmp_path) for name in "ab")
    crown(run, first, paths)
    client = run.experiment.client()
    assert find_champion(run.experiment, second, paths).is_readable
    client.log_param(first.run_id, "model.classifier.kind", "linear-svm")
    assert not find_champion(run.experiment, second, paths).is_readable


def test_a_champion_whose_run_was_deleted_has_no_results(run, paths, tmp_path):
    first, second = (log(run, name, tmp_path) for name in "ab")
    crown(run, first, paths)
    run.experiment.client().delete_run(first.run_id)
    found = find_champion(run.experiment, second, paths)
    assert (found.version, found.model, found.folder) == (1, "a", None)


@pytest.mark.parametrize("question", ["get_model_version_by_alias", "get_run"])
def test_a_store_that_does_not_answer_has_a_champion_all_the_same(run, paths, tmp_path, monkeypatch, question):
    """Or else any model would take over from a champion that nobody could look at."""
    first, second = (log(run, name, tmp_path) for name in "ab")
    crown(run, first, paths)
    monkeypatch.setattr(mlflow.MlflowClient, question, no_answer)
    with pytest.raises(MlflowException, match="API request"):
        find_champion(run.experiment, second, paths)


def test_results_that_cannot_be_fetched_are_not_gone(run, paths, tmp_path, monkeypatch):
    first, second = (log(run, name, tmp_path) for name in "ab")
    crown(run, first, paths)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", no_answer)
    with pytest.raises(DataError, match=f"the files of its MLflow run {first.run_id} cannot be fetched"):
        find_champion(run.experiment, second, paths)


def test_a_rollback_calls_nothing_deleted_that_cannot_be_asked_for(run, paths, tmp_path, monkeypatch):
    for name in "ab":
        crown(run, log(run, name, tmp_path), paths)
    monkeypatch.setattr(mlflow.MlflowClient, "get_logged_model", no_answer)
    with pytest.raises(MlflowException, match="API request"):
        roll_back()
    assert int(champion_version(run.experiment.client()).version) == 2


def test_a_promotion_is_recorded_and_a_rollback_follows_the_record(run, paths, tmp_path):
    models = [log(run, name, tmp_path) for name in "abc"]
    for number, model in enumerate(models, start=1):
        assert crown(run, model, paths, "jaccard +0.1 [+0.05, +0.15]" if number > 1 else "") == number
    client = run.experiment.client()
    tags = champion_version(client).tags
    assert (
        tags.items()
        >= {
            "genreflow.model": "c",
            "genreflow.data_hash": "abc",
            "genreflow.promotion_gain": "jaccard +0.1 [+0.05, +0.15]",
            "genreflow.promotion_reason": "because",
            "genreflow.replaced_version": "2",
            "genreflow.replaced_model": "b",
        }.items()
    )
    assert tags["genreflow.promoted_at"].endswith("+00:00")

    assert roll_back() == "champion: version 2 (b) again, instead of version 3 (c)"
    assert int(champion_version(client).version) == 2
    taken = client.get_model_version("movie-genre-classifier", "3").tags
    assert taken["genreflow.rolled_back_to"] == "2"
    assert "version 3" in find_champion(run.experiment, models[2], paths).challenger_was_rolled_back
    assert find_champion(run.experiment, models[0], paths).challenger_was_rolled_back == ""

    roll_back()
    with pytest.raises(ModelError, match=r"version 1 \(a\) does not record a version before it"):
        roll_back()
    assert int(champion_version(client).version) == 1


def test_what_was_deleted_does_not_return(run, paths, tmp_path):
    for name in "ab":
        crown(run, log(run, name, tmp_path), paths)
    client = run.experiment.client()
    client.delete_model_version("movie-genre-classifier", "1")
    with pytest.raises(ModelError, match="version 1, which version 2 replaced, or its model was deleted"):
        roll_back()
    assert int(champion_version(client).version) == 2
    assert "genreflow.rolled_back_at" not in champion_version(client).tags


TRAINED = SimpleNamespace(
    data=SimpleNamespace(tags={"genreflow.source": "kaggle", "genreflow.git_revision": "0123456789abcdef"}),
    info=SimpleNamespace(start_time=86_400_000),
    inputs=SimpleNamespace(
        dataset_inputs=[
            SimpleNamespace(
                dataset=SimpleNamespace(profile=json.dumps({"num_rows": rows})), tags=[SimpleNamespace(value=part)]
            )
            for part, rows in (("train", 1200), ("test", 150))
        ]
    ),
)


def write_evaluation(folder: Path, labels: list[str]) -> tuple[LoggedModel, Path]:
    """A model's evaluation and a leaderboard with its intervals."""
    values = {"test/jaccard": 0.5, "test/exact_match": 0.25}
    metrics = {"chosen_rule": "top", "chosen_by": "jaccard", "rules": {"top": values}}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    supports = [100 if number else 3 for number in range(len(labels))]
    table = {"genre": labels, "support": supports, "precision": 0.5, "recall": [None] * len(labels), "f1": 0.4}
    pl.DataFrame(table, schema_overrides={"recall": pl.Float64}).write_csv(folder / "per_genre.csv")
    board = {"model": ["7", "other"], "test_jaccard_low": [0.45, 0.1], "test_jaccard_high": [0.55, 0.2]}
    pl.DataFrame(board).write_csv(folder / "leaderboard.csv")
    return LoggedModel("7", folder, "abc", "models:/m-1", "d1"), folder / "leaderboard.csv"


def test_a_card_says_what_the_model_is_how_good_and_how_to_call_it(tmp_path):
    model, board = write_evaluation(tmp_path, ["Drama", "War", "<b>[x](y)|"])
    card = write_card(TRAINED, model, board, "movie-genre-classifier", 3)
    assert "trained on 1970-01-02 on source kaggle, data d1 (1,200 train, 150 test), code 0123456789ab" in card
    assert "| Jaccard | 0.500 | 0.450 to 0.550 |" in card
    assert "| exact match | 0.250 |  |" in card
    assert "Metrics are unreliable for labels with fewer than 10 test rows: Drama." in card
    assert "| War | 100 | 0.50 | – | 0.40 |" in card
    assert "| &lt;b&gt;\\[x\\](y)\\| | 100 |" in card
    assert 'load_model("models:/movie-genre-classifier/3")' in card


def test_a_card_of_many_labels_fits_into_mlflow(tmp_path):
    model, board = write_evaluation(tmp_path, [f"{number:02} {'a long name ' * 3}" for number in range(200)])
    card = write_card(TRAINED, model, board, "tickets", 1)
    assert len(card) <= LONGEST
    assert "more labels in the run's `per_genre.csv`" in card


STEPS = (
    "get_registered_model", "get_logged_model", "create_model_version", "search_model_versions",
    "set_registered_model_alias",
)  # fmt: skip


@pytest.mark.parametrize("holds", [False, True], ids=["no champion", "a champion"])
@pytest.mark.parametrize("step", STEPS)
def test_two_promotions_at_once_have_one_order(run, paths, tmp_path, monkeypatch, *, step, holds):
    """Another process promotes, from the first to the last call, just before a step of this one."""
    client = run.experiment.client()
    if holds:
        crown(run, log(run, "before", tmp_path), paths)
    ours, theirs = log(run, "ours", tmp_path), log(run, "theirs", tmp_path)
    found = find_champion(run.experiment, ours, paths)
    original, outcomes = getattr(client, step), []

    def interrupted(*arguments, **options):
        monkeypatch.setattr(client, step, original)
        other = mlflow.MlflowClient(run.experiment.tracking_uri)
        try:
            outcomes.append(
                promote(other, theirs, find_champion(run.experiment, theirs, paths), Verdict(True, "because"))
            )
        except ChampionChangedError:
            outcomes.append(None)
        return original(*arguments, **options)

    monkeypatch.setattr(client, step, interrupted)
    try:
        outcomes.append(promote(client, ours, found, Verdict(True, "because")))
    except ChampionChangedError:
        outcomes.append(None)
    assert len(outcomes) == 2
    (won,) = [version for version in outcomes if version is not None]
    current = champion_version(client)
    assert int(current.version) == won
    assert current.tags.get("genreflow.replaced_version") == ("1" if holds else None)
    promoted = [each for each in client.search_model_versions() if each.tags.get("genreflow.replaced_version") == "1"]
    assert len(promoted) == int(holds)


def test_an_alias_that_is_set_too_late_is_corrected(run, paths, tmp_path, monkeypatch):
    client = run.experiment.client()
    ours, theirs = log(run, "ours", tmp_path), log(run, "theirs", tmp_path)
    original = client.set_registered_model_alias

    def late(name, alias, version):
        monkeypatch.setattr(client, "set_registered_model_alias", original)
        original(name, alias, version)  # set, and seen by the other process, which replaces it
        crown(run, theirs, paths)
        original(name, alias, version)

    monkeypatch.setattr(client, "set_registered_model_alias", late)
    assert promote(client, ours, None, Verdict(True, "because")) == 1
    assert champion_version(client).version == 2


def test_the_store_knows_how_many_challengers_a_test_set_has_judged(run, paths, tmp_path):
    client = run.experiment.client()
    first, second, third = (log(run, name, tmp_path) for name in "abc")
    crown(run, first, paths)
    assert find_champion(run.experiment, second, paths).challengers_before == 0
    for _ in range(2):  # the same one again is no other challenger
        note_judged(client, second, REGISTERED_NAME)
    assert find_champion(run.experiment, second, paths).challengers_before == 0
    assert find_champion(run.experiment, third, paths).challengers_before == 1
    elsewhere = replace(third, data_hash="another")
    assert find_champion(run.experiment, elsewhere, paths).challengers_before == 0
