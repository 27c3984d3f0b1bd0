"""Cross-validation and search on the data of the finished pipeline: what they print, write and leave in MLflow."""

import json
from types import SimpleNamespace

import mlflow
import optuna
import polars as pl
import pytest
import yaml

from flows.cli import parse_command
from flows.config import CrossValidateConfig, SearchConfig, TrainConfig
from flows.cross_validate import cross_validate
from flows.model_runs import ModelsFailedError
from flows.search import best_config, run_trial, search
from tasks.core.errors import ConfigError, ModelError
from tasks.models.search import Trial

# Prefect, MLflow and SQLAlchemy warn about each other in depths that are not ours.
pytestmark = pytest.mark.filterwarnings("default")

OWN = [
    {"name": "both", "members": ["nb-counts", "nb-complement"]},
    {"name": "nb-complement", "classifier": {"kind": "naive-bayes", "variant": "complement"}},
]


def runs_of(finished, experiment, kind):
    client = mlflow.MlflowClient(finished.tracking_uri)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id], f"tags.`genreflow.kind` = '{kind}'", order_by=["start_time"])


def test_models_and_their_blend_are_cross_validated(finished, capsys):
    config = CrossValidateConfig(models=("both",), own_models=OWN, experiment="folds")
    cross_validate(config=config)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines[2:5]) == ["both", "nb-complement", "nb-counts"]
    movies = pl.read_parquet(finished.paths.movies)["movie_id"]
    for name in ("both", "nb-complement", "nb-counts"):
        scores = pl.read_parquet(finished.paths.cross_validation / name / "scores_out_of_fold.parquet")
        assert scores["movie_id"].equals(movies)
    (parent,) = runs_of(finished, "folds", "pipeline")
    children = runs_of(finished, "folds", "cross-validation")
    assert parent.info.run_name.startswith("cross-validation ")
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    for child in children:
        stored = json.loads((finished.paths.cross_validation / child.info.run_name / "metrics.json").read_text())
        mean = stored["rules"][stored["chosen_rule"]]["f1_macro"]["mean"]
        assert child.data.metrics["cv/f1_macro"] == pytest.approx(mean)
        assert child.data.params["seed"] == parent.data.params["seed"]

    before = {path: path.stat().st_mtime_ns for path in finished.paths.root.rglob("*.stage.json")}
    cross_validate(config=config)
    assert before == {path: path.stat().st_mtime_ns for path in finished.paths.root.rglob("*.stage.json")}


def test_a_model_that_fails_is_told_and_the_others_are_scored(finished, capsys):
    config = CrossValidateConfig(
        models=("nb-counts", "nb-complement"),
        own_models=OWN,
        model_params={"nb-counts": {"min_movies": 100_000}},
        experiment="folds",
    )
    with pytest.raises(ModelsFailedError, match=r"nb-counts: ModelError: .*lower min_movies"):
        cross_validate(config=config)
    assert capsys.readouterr().out.splitlines()[2].startswith("nb-complement")
    statuses = {run.info.run_name: run.info.status for run in runs_of(finished, "folds", "cross-validation")}
    assert (statuses["nb-counts"], statuses["nb-complement"]) == ("FAILED", "FINISHED")


def test_a_search_goes_on_and_its_best_can_be_trained(finished, capsys):
    own_features = {path.name for path in finished.paths.features.iterdir()}
    config = SearchConfig(model="nb-counts", vary=("alpha", "max_n"), trials=2, experiment="search")
    search(config)
    search(config.model_copy(update={"trials": 4}))
    out = capsys.readouterr().out
    assert "best of 4 trials" in out

    parents, trials = runs_of(finished, "search", "pipeline"), runs_of(finished, "search", "trial")
    assert [run.info.run_name for run in trials] == ["trial 1", "trial 2", "trial 3", "trial 4"]
    assert [run.data.tags["mlflow.parentRunId"] for run in trials] == [
        parent.info.run_id for parent in parents for _ in range(2)
    ]
    assert {run.info.status for run in [*parents, *trials]} == {"FINISHED"}
    assert not [name for run in trials for name in run.data.metrics if "test" in name]
    values = [run.data.metrics["val/jaccard"] for run in trials]
    file = finished.paths.search / "nb-counts.yaml"
    best = yaml.safe_load(file.read_text(encoding="utf-8"))["model_params"]["nb-counts"]
    assert {f"trial.{name}": str(value) for name, value in best.items()}.items() <= trials[
        values.index(max(values))
    ].data.params.items()
    assert str(best["alpha"]) in out
    assert parse_command(TrainConfig, ["--config", str(file)]).model_params == {"nb-counts": best}
    assert len({path.name for path in finished.paths.features.iterdir()} - own_features) <= 1

    with pytest.raises(ConfigError, match=r"other settings \(metric: jaccard before, f1_macro now; rule: "):
        search(config.model_copy(update={"metric": "f1_macro"}))
    assert len(runs_of(finished, "search", "pipeline")) == 2


def test_a_trial_that_cannot_be_fitted_does_not_end_the_search(finished, monkeypatch):
    config = SearchConfig(model="svm-title", vary=("min_movies",), trials=2, experiment="hard")
    monkeypatch.setattr(
        "flows.search.space_of", lambda *_: {"min_movies": optuna.distributions.IntDistribution(2, 90_000)}
    )
    search(config)
    statuses = [run.info.status for run in runs_of(finished, "hard", "trial")]
    assert statuses == ["FINISHED", "FAILED"]
    states = optuna.load_study(study_name=None, storage=f"sqlite:///{finished.paths.search}/svm-title.sqlite")
    assert [trial.state.name for trial in states.trials] == ["COMPLETE", "PRUNED"]


def test_a_model_that_cannot_be_fitted_as_it_is_ends_the_search_and_is_recorded(monkeypatch):
    def fail(*_):
        raise ModelError("no word is left; lower min_movies")

    recorded = []
    monkeypatch.setattr("flows.search.start_model_run", lambda *_: "trial-run")
    monkeypatch.setattr("flows.search.features_of", fail)
    monkeypatch.setattr("flows.search.record_failure", lambda _run, *told: recorded.append(told[:2]))
    config = SearchConfig(model="nb-counts")
    first = SimpleNamespace(ask=lambda: Trial(1, {}, config.chosen_model))
    with pytest.raises(ModelError, match="lower min_movies"):
        run_trial(config, first, None)
    assert recorded == [("trial-run", "ModelError: no word is left; lower min_movies")]


def test_the_best_is_trained_with_the_seed_of_its_search():
    found = SimpleNamespace(best_params={"alpha": 0.5})
    assert best_config(SearchConfig(model="nb-counts", seed=7), found)["seed"] == 7
    assert "seed" not in best_config(SearchConfig(model="nb-counts"), found)
