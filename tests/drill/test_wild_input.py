"""Damaged and wild input, thousands of seeded cases: a right answer or an error of ours, nothing lost, no traceback.

Raw listings have theirs in tests/clean/test_damage.py.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from wild import CASES, damage, twist

from flows.cli import parse_command
from flows.config import PRESETS, PipelineConfig
from tasks.annotate.conllu import find_documents, format_document, read_document, show_movie
from tasks.core.errors import GenreflowError
from tasks.core.language import Token
from tasks.core.settings import DataPaths
from tasks.stage import Stage, run_stage
from tasks.tracking.past_runs import load_last_run

Result = TypeVar("Result")

SEEDS = range(4)  # each with its part of the cases
TOKENS = [Token("Fog", "fog", True), Token("at", "at", True), Token("sea", "sea", False), Token(".", ".", False)]
OWN = "".join(format_document(f"tt{number}", ("Drama", "War"), [TOKENS, TOKENS]) for number in range(6)).encode()
FOREIGN = b"".join(
    b"# movie_id = tt%d\n# genre = [0, 1]\n# text = Fog.\n# sent_id = 0\n"
    b"1\tFog\tfog\tNOUN\tNN\t_\t0\t_\t_\tSpaceAfter=No\n2\t.\t.\tPUNCT\t.\t_\t1\t_\t_\t_\n\n\n" % number
    for number in range(6)
)


def cases(seed: int) -> list[random.Random]:
    return [random.Random(1_000_000 * seed + case) for case in range(CASES // len(SEEDS))]


def read_or_refuse(path: Path, read: Callable[[], Result]) -> Result | None:
    """Return what is read, or None where the file is refused in words that name it; anything else fails the test."""
    try:
        return read()
    except GenreflowError as error:
        told = str(error)
    if path.name not in told or "Traceback" in told:
        pytest.fail(f"not told well: {told}")
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_a_movie_of_a_damaged_corpus_is_shown_or_refused(tmp_path: Path, seed: int) -> None:
    path, answers = tmp_path / "movies.conllu", []
    for chance in cases(seed):
        path.write_bytes(damage(OWN, chance))
        answers.append(read_or_refuse(path, lambda: list(show_movie(path, "tt3"))))
    assert any(answer is not None for answer in answers)
    assert any(answer is None for answer in answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_foreign_conllu_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "theirs.conllu"
    answers = []
    for chance in cases(seed):
        path.write_bytes(damage(FOREIGN, chance))
        found = read_or_refuse(path, lambda: find_documents(path))
        places = found[0].values() if found else ()
        answers += [read_or_refuse(path, lambda place=place: read_document(path, place)) for place in places]
    assert any(answer is not None for answer in answers)
    assert any(answer is None for answer in answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_preset_is_taken_or_refused_with_a_line(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    codes, untold = set(), []
    wholes = [file.read_bytes() for file in sorted(PRESETS.glob("*.yaml"))]
    for chance in cases(seed)[::4]:  # each takes a while
        whole = chance.choice(wholes)
        if chance.random() < 0.5:
            path.write_bytes(damage(whole, chance))
        else:
            text = yaml.safe_dump(twist(yaml.safe_load(whole), chance), allow_unicode=True)
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            assert parse_command(PipelineConfig, ["--preset", str(path)]).preset == str(path)
        except SystemExit as end:
            codes.add(end.code)
            told = capsys.readouterr().err
            untold += [] if told.startswith("error: ") and "Traceback" not in told else [told]
    assert codes <= {2}
    assert not untold


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    source = tmp_path / "source.txt"
    source.write_text("one", encoding="utf-8")
    return Stage("copy", tmp_path / "out", ("a.txt",), (source,), {"times": 2}, ())


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_a_sidecar_says_the_outputs_are_right(stage: Stage, seed: int) -> None:
    def build(folder: Path) -> dict[str, Any]:
        (folder / "a.txt").write_text("oneone", encoding="utf-8")
        return {"rows": 2}

    run_stage(stage, build)
    whole = stage.sidecar.read_bytes()
    for chance in cases(seed):
        if chance.random() < 0.5:
            stage.sidecar.write_bytes(damage(whole, chance))
        else:
            stage.sidecar.write_text(json.dumps(twist(json.loads(whole), chance)), encoding="utf-8")
        result = run_stage(stage, build)
        assert isinstance(result.counts, dict)
        assert (stage.folder / "a.txt").read_text(encoding="utf-8") == "oneone"
        stage.sidecar.write_bytes(whole)
        assert run_stage(stage, build).counts == {"rows": 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_note_of_the_last_run_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    paths = DataPaths(tmp_path)
    run = {
        "experiment": {"tracking_uri": "sqlite:///x.db", "experiment_id": "1", "name": "genreflow"},
        "run_id": "1", "name": "run", "params": {}, "tags": {},
    }  # fmt: skip
    model = {"name": "svm", "folder": "/x/svm", "run_id": "2", "model_uri": "models:/m-1", "data_hash": "abc"}
    whole = {"run": run, "models": [model, model]}
    paths.last_run.parent.mkdir()
    for chance in cases(seed):
        if chance.random() < 0.5:
            paths.last_run.write_bytes(damage(json.dumps(whole).encode(), chance))
        else:
            paths.last_run.write_text(json.dumps(twist(whole, chance)), encoding="utf-8")
        found = read_or_refuse(paths.last_run, lambda: load_last_run(paths))
        assert found is None or found[1]
