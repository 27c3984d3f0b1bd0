"""Which stages run again after a change of which file."""

from pathlib import Path

import pytest

from tasks import stage
from tasks.models.features import code_files
from tasks.models.registry import built_in_models
from tasks.models.spec import ModelSpec
from tasks.models.train import fitting_code
from tasks.stage import code_of, essence, hash_code, imports_of, is_table

TASKS = Path(stage.__file__).parent


def stages() -> dict[str, tuple[Path, ...]]:
    """The code at which the work of some stages begins."""
    singles = {model.name: model for model in built_in_models() if isinstance(model, ModelSpec)}
    vectors = {
        "features, words": code_files(singles["svm-title"].representations[0]),
        "features, word2vec": code_files(singles["logreg-word2vec"].representations[0]),
        "features, encoder": code_files(singles["minilm-title"].representations[0]),
    }
    names = ("svm-title", "nb-counts", "tree-title", "knn-title", "logreg-word2vec")
    return {
        "clean": (TASKS / "clean" / "movies.py",),
        "annotate": (TASKS / "annotate" / "corpus.py",),
        "split": (TASKS / "split" / "parts.py",),
        **{name: (TASKS / "models" / "features.py", *files) for name, files in vectors.items()},
        **{f"train {name}": fitting_code(singles[name]) for name in names},
        "fine-tune": (TASKS / "models" / "encoder" / "fine_tune.py",),
        "evaluate": (TASKS / "evaluate" / "evaluation.py",),
        "leaderboard": (TASKS / "report" / "leaderboard.py",),
        "versus": (TASKS / "report" / "versus.py",),
        "report": (TASKS / "report" / "page.py",),
    }


FEATURES = {"features, words", "features, word2vec", "features, encoder"}
TRAININGS = {f"train {name}" for name in ("svm-title", "nb-counts", "tree-title", "knn-title", "logreg-word2vec")}


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("models/registry.py", set()),
        ("models/search.py", set()),
        ("core/errors.py", set()),
        ("report/models.py", {"report"}),
        ("clean/profiles.py", {"clean"}),
        ("split/stratify.py", {"split"}),
        ("decision/calibration.py", TRAININGS | {"fine-tune", "evaluate"}),
        ("models/multilabel.py", TRAININGS | {"fine-tune"}),
        ("models/linear.py", TRAININGS - {"train tree-title", "train knn-title"} | {"fine-tune"}),
        ("models/encoder/trainer.py", {"fine-tune"}),
        ("models/encoder/frozen.py", {"features, encoder", "fine-tune"}),
        ("models/word_vectors.py", {"features, word2vec", "train logreg-word2vec"}),
        ("core/metrics.py", {"evaluate", "leaderboard", "versus", "report"}),
        ("models/train.py", TRAININGS | {"fine-tune"}),
    ],
)
def test_a_change_of_a_file_runs_the_stages_that_rest_on_it_and_no_others(monkeypatch, file, again):
    assert (TASKS / file).is_file()
    before = {name: hash_code(code) for name, code in stages().items()}
    read, changed = Path.read_text, TASKS / file

    def read_changed(path: Path, **how: str) -> str:
        return read(path, **how) + ("\nCHANGED = True\n" if path == changed else "")

    monkeypatch.setattr(Path, "read_text", read_changed)
    assert {name for name, code in stages().items() if hash_code(code) != before[name]} == again


def test_comments_docstrings_and_blank_lines_are_no_code():
    one = '"""What it does."""\n\nx = 1  # one\n\n\ndef f():\n    """Say."""\n    return f"{x!r:>{5}} # no comment"\n'
    other = 'x = 1\ndef f():\n    # says nothing\n    return f"{x!r:>{5}} # no comment"\n'
    assert essence(one) == essence(other) == 'x = 1\ndef f():\n    return f"{x!r:>{5}} # no comment"'
    assert essence(one) != essence(one.replace("1", "2"))


def test_imports_are_found_in_functions_and_not_those_for_types_alone():
    found = {path.relative_to(TASKS).as_posix() for path in imports_of(TASKS / "models" / "pipeline.py")}
    assert "models/inputs.py" in found
    trained = {path.relative_to(TASKS).as_posix() for path in imports_of(TASKS / "models" / "train.py")}
    assert "models/ensemble.py" not in trained


def test_tables_and_the_frame_are_left_out_and_other_files_taken_as_they_are(tmp_path):
    assert is_table(TASKS / "models" / "spec.py")
    style = tmp_path / "page.css"
    style.write_text("body {}", encoding="utf-8")
    names = {path.name for path in code_of([TASKS / "models" / "spec.py", TASKS / "core" / "errors.py", style])}
    assert names == {"page.css"}
    before = hash_code([style])
    style.write_text("body { }", encoding="utf-8")
    assert hash_code([style]) != before
