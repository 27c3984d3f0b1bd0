import logging
from types import SimpleNamespace

import polars as pl
import pytest
from mlflow.exceptions import MlflowException

from flows import cli
from flows.cli import parse_command, run_command
from flows.config import CompareConfig, FlowConfig, PipelineConfig, PredictConfig, PrepareConfig, TrainConfig
from flows.predict import predict_command
from tasks.acquire.listings import check_source
from tasks.core.errors import ConfigError, DataError
from tasks.models.genre_classifier import GenreClassifier


def test_options_come_before_config_file_before_preset_before_default(tmp_path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("models: [nb-counts]\nworkers: 7\nrunner: process\n", encoding="utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(f"preset: {preset}\nworkers: 5\nrunner: thread\n", encoding="utf-8")
    config = parse_command(TrainConfig, ["--config", str(file), "--workers", "3"])
    assert (config.workers, config.runner, config.models) == (3, "thread", ("nb-counts",))
    assert config.seed == 42069


def test_nested_options_and_lists():
    config = parse_command(
        PipelineConfig, ["--sample.n-movies", "70", "--models", "nb-counts,logreg-counts", "--models", "svm-*"]
    )
    assert config.sample.n_movies == 70
    assert config.models == ("nb-counts", "logreg-counts", "svm-*")


@pytest.mark.parametrize("said", ["true", "false"])
@pytest.mark.parametrize("form", ["--{} {}", "--{}={}", "--{switch}"])
def test_switches_are_said_as_words_or_as_such(said, form):
    names = ("report", "split.keep-sides", "promotion.enabled", "clean.prune.gibberish")
    arguments = [form.format(name, said, switch=name if said == "true" else f"no-{name}") for name in names]
    config = parse_command(PipelineConfig, " ".join(arguments).split())
    found = (config.report, config.split.keep_sides, config.promotion.enabled, config.clean.prune.gibberish)
    assert found == (said == "true",) * 4


def test_a_text_may_be_true_or_false():
    assert parse_command(PredictConfig, ["--explain", "--text", "false"]).text == "false"
    assert parse_command(PredictConfig, ["--text=true", "--explain", "true"]).explain


def test_a_source_in_a_file_starts_from_its_folder_unless_it_is_an_address(tmp_path):
    file = tmp_path / "own.yaml"
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/x.csv").touch()
    for written, read in (
        ("raw/x.csv", str(tmp_path / "raw/x.csv")),
        ("sample", "sample"),
        ("s3://b/raw/", "s3://b/raw/"),
    ):
        file.write_text(f"source: {written}\n", encoding="utf-8")
        assert parse_command(PipelineConfig, ["--config", str(file)]).source == read


def test_underscores_stand_for_hyphens():
    assert parse_command(TrainConfig, ["--train_on=development"]).train_on == "development"


def test_values_keep_their_underscores():
    assert parse_command(TrainConfig, ["--experiment=my_runs"]).experiment == "my_runs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "x"], "--seed: "),
        (["--runner", "rocket"], "--runner: input should be 'thread', 'process' or 'dask'"),
        (["--runner", "dask"], "--runner dask and --dask-address go together"),
        (["--dask-address", "tcp://127.0.0.1:8786"], "--runner dask and --dask-address go together"),
        (["--runner", "dask", "--dask-address", "x", "--workers", "2"], "--workers does not apply to --runner dask"),
        (["--xyzzy", "1"], "unknown option --xyzzy; see --help"),
        (["--sede", "1"], "unknown option --sede; did you mean --seed?"),
        (["--seed"], "argument --seed: expected one argument"),
        (["--preset", "slow"], "no preset 'slow'"),
        (["--workers", "0"], "--workers: "),
        (["--models", "logreg-tfdf"], "did you mean logreg-tfidf"),
        (["--model-params", '{"nope": {"C": 1}}'], "not among the chosen models"),
        (["--model-params", "{nb"], "model_params: Missing end delimiter"),
        (["--evaluate", "{nb"], 'field "evaluate"'),
        (["--config", "missing.yaml"], "missing.yaml"),
    ],
)
def test_mistakes_exit_with_2_and_name_the_option(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        parse_command(TrainConfig, arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_crawl_for_what_has_no_listings_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_command(PrepareConfig, ["--start-from", "clean_data", "--crawl.online"])
    assert "which start_from clean_data does not read" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--text", "x", "--input", "a.csv"], ["--input", "a.csv"]])
def test_predict_wants_one_kind_of_input(arguments, capsys):
    with pytest.raises(SystemExit):
        parse_command(PredictConfig, arguments)
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "a.csv", "--output", "b.csv", "--title", "Fog"], "--title goes with --text"),
        (["--text", "x", "--explain", "--explained", "s3://b/page.html"], "--explained takes a local path"),
    ],
)
def test_options_of_a_prediction_that_would_not_be_heeded_are_told(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse_command(PredictConfig, arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_one_text_is_answered_in_the_precision_that_was_asked_for(monkeypatch, precision):
    used = []
    answer = pl.DataFrame({"genres": ["Drama"], "score_Drama": [0.9]})
    classifier = SimpleNamespace(genres=("Drama",), predict=lambda *_: answer)
    monkeypatch.setattr(GenreClassifier, "load", lambda _folder, precision: used.append(precision) or classifier)
    monkeypatch.setattr("tasks.tracking.registry.fetch_classifier", lambda model: model)
    assert predict_command(PredictConfig(text="x", precision=precision)) == 0
    assert used == [precision]


@pytest.mark.parametrize(
    ("target", "message"),
    [("a.csv", "--input and --output are the same"), ("b.tsv", "a name that ends in .csv or .parquet")],
)
def test_where_predictions_cannot_go_is_told_at_once(target, message, capsys):
    with pytest.raises(SystemExit):
        parse_command(PredictConfig, ["--input", "a.csv", "--output", target])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pair", "a"], "--pair takes two model names"),
        (["--runs", "1,2", "--experiment", "x"], "give either --runs, or --experiment and --filter"),
        (["--rollback", "--runs", "1"], "--rollback compares nothing"),
        (["--promotion.metric", "accuracy"], "--promotion.metric: input should be 'jaccard'"),
        (["--promotion.level", "1.5"], "--promotion.level: "),
    ],
)
def test_mistakes_of_a_comparison_are_told(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        parse_command(CompareConfig, arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def quiet_root(monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(cli, "ENVIRONMENT", {})
    monkeypatch.setattr(cli, "stop_on_signals", lambda: None)  # the signals are the test runner's
    monkeypatch.setattr("sys.argv", ["command"])


@pytest.mark.usefixtures("quiet_root")
def test_users_errors_are_one_line(capsys):
    def fail(_config: FlowConfig) -> int:
        raise DataError("movies.csv, line 3: no title; add one")

    assert run_command(FlowConfig, fail) == 1
    assert capsys.readouterr().err == "error: movies.csv, line 3: no title; add one\n"


@pytest.mark.usefixtures("quiet_root")
def test_a_store_that_is_away_is_one_line_for_commands_without_a_flow_too(capsys):
    def ask(_config: FlowConfig) -> int:
        raise MlflowException("API request to http://127.0.0.1:9/x failed with exception Max retries exceeded")

    assert run_command(FlowConfig, ask) == 1
    error, *others = capsys.readouterr().err.splitlines()
    assert error.startswith("error: MLflow at ")
    assert not others


@pytest.mark.usefixtures("quiet_root")
def test_an_input_that_is_not_there_is_told_before_prefect_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["predict.py", "--input", f"{tmp_path}/none.csv", "--output", "genres.csv"])
    monkeypatch.setattr("flows.predict.run_flow", lambda *_: pytest.fail("Prefect starts"))
    assert run_command(PredictConfig, predict_command) == 1
    assert f"there is no file or folder {tmp_path}/none.csv" in capsys.readouterr().err


@pytest.mark.usefixtures("quiet_root")
def test_a_source_that_is_not_there_is_told_before_prefect_starts(paths, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["full_pipeline.py", "--source", f"{paths.root}/none.zip"])
    monkeypatch.setattr("flows.run_context.TemporaryServer", lambda: pytest.fail("Prefect starts"))
    with pytest.raises(SystemExit) as end:
        run_command(PipelineConfig, "flows.full_pipeline:full_pipeline")
    assert end.value.code == 2
    assert f"--source: there is no file or folder {paths.root}/none.zip" in capsys.readouterr().err
    (paths.root / "text.txt").parent.mkdir(parents=True, exist_ok=True)
    (paths.root / "text.txt").write_text("not a source", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["full_pipeline.py", "--source", f"{paths.root}/text.txt"])
    assert run_command(PipelineConfig, "flows.full_pipeline:full_pipeline") == 1
    assert "text.txt is not a folder, zip or table" in capsys.readouterr().err
    for source in ("sample", "kaggle", "s3://bucket/listings.zip"):
        check_source(paths, source)


@pytest.mark.usefixtures("quiet_root")
def test_an_interrupt_says_how_to_go_on(capsys):
    def interrupt(_config: FlowConfig) -> int:
        raise KeyboardInterrupt

    assert run_command(FlowConfig, interrupt) == 130
    assert "again to continue" in capsys.readouterr().err


@pytest.mark.usefixtures("quiet_root")
def test_defects_keep_their_traceback():
    def crash(_config: FlowConfig) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(FlowConfig, crash)


def test_every_preset_is_a_valid_configuration():
    from flows.config import PRESETS, load_preset  # noqa: PLC0415
    from tasks.models.registry import choose_models  # noqa: PLC0415

    presets = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    assert "quick" in presets
    for name in presets:
        config = PipelineConfig(preset=name)
        assert choose_models(config.models, config.model_params, config.own_models)
        assert load_preset(name)


def test_preset_with_an_unknown_option_is_refused(tmp_path):
    (tmp_path / "typo.yaml").write_text("modles: [a]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot set modles"):
        TrainConfig(preset=str(tmp_path / "typo.yaml"))


def test_preset_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "broken.yaml").write_text("models: [a\nseed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line 2: not valid YAML"):
        TrainConfig(preset=str(tmp_path / "broken.yaml"))
    (tmp_path / "list.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="must hold a mapping"):
        TrainConfig(preset=str(tmp_path / "list.yaml"))


def test_lists_of_models_and_presets(capsys):
    for option, line in (("--list-models", "svm-title "), ("--list-presets", "quick ")):
        with pytest.raises(SystemExit) as end:
            parse_command(TrainConfig, [option])
        assert end.value.code == 0
        assert any(each.startswith(line) for each in capsys.readouterr().out.splitlines())
