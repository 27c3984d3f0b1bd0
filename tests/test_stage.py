import errno
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from tasks.core.errors import DataError, DiskError, disk_error
from tasks.stage import Stage, recorded_config, remove_outdated, run_stage, write_atomically


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    source, code = tmp_path / "in" / "source.txt", tmp_path / "code.py"
    source.parent.mkdir()
    source.write_text("one", encoding="utf-8")
    code.write_text("x = 1\n", encoding="utf-8")
    return Stage("copy", tmp_path / "out", ("a.txt", "deep/b.txt"), (source,), {"times": 2}, (code,), ("numpy",))


@pytest.fixture
def build(stage: Stage):
    """Writes both outputs and counts how often it was called."""
    calls = []

    def write(folder: Path) -> dict[str, int]:
        calls.append(folder)
        (folder / "deep").mkdir()
        (folder / "a.txt").write_text(stage.inputs[0].read_text(encoding="utf-8") * 2, encoding="utf-8")
        (folder / "deep" / "b.txt").write_text("b", encoding="utf-8")
        return {"rows": 2}

    write.calls = calls
    return write


def test_outputs_counts_and_sidecar_are_left_and_nothing_else(stage, build):
    result = run_stage(stage, build)
    assert (result.skipped, result.counts) == (False, {"rows": 2})
    assert (stage.folder / "a.txt").read_text(encoding="utf-8") == "oneone"
    files = {str(path.relative_to(stage.folder)) for path in stage.folder.rglob("*") if path.is_file()}
    assert files == {"a.txt", "deep/b.txt", "copy.stage.json"}
    assert recorded_config(stage.folder, "copy") == {"times": 2}


def test_unchanged_stage_is_skipped_with_its_counts(stage, build):
    first, second = run_stage(stage, build), run_stage(stage, build)
    assert (second.skipped, second.counts, second.fingerprint) == (True, first.counts, first.fingerprint)
    assert len(build.calls) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda stage: stage.inputs[0].write_text("two", encoding="utf-8"),
        lambda stage: stage.code[0].write_text("x = 2\n", encoding="utf-8"),
        lambda stage: (stage.folder / "a.txt").write_text("tampered", encoding="utf-8"),
        lambda stage: (stage.folder / "deep" / "b.txt").unlink(),
        lambda stage: stage.sidecar.unlink(),
        lambda stage: stage.sidecar.write_text("{", encoding="utf-8"),
        lambda stage: stage.sidecar.write_text("[]", encoding="utf-8"),
    ],
    ids=["input", "code", "output", "output gone", "sidecar gone", "sidecar damaged", "sidecar of another form"],
)
def test_whatever_changed_makes_it_run_again(stage, build, change):
    run_stage(stage, build)
    change(stage)
    assert not run_stage(stage, build).skipped
    assert run_stage(stage, build).skipped


def test_what_it_wrote_earlier_and_writes_no_more_is_removed_unless_somebody_changed_it(stage, build):
    run_stage(stage, build)
    smaller = replace(stage, outputs=("a.txt",), removes_old=True)
    assert run_stage(smaller, build).skipped
    smaller.inputs[0].write_text("two", encoding="utf-8")
    run_stage(smaller, build)
    assert not (stage.folder / "deep" / "b.txt").exists()
    assert not run_stage(stage, build).skipped
    (stage.folder / "deep" / "b.txt").write_text("mine", encoding="utf-8")
    smaller.inputs[0].write_text("three", encoding="utf-8")
    run_stage(smaller, build)
    assert (stage.folder / "deep" / "b.txt").read_text(encoding="utf-8") == "mine"


def test_other_stages_remove_nothing(stage, build):
    run_stage(stage, build)
    stage.inputs[0].write_text("two", encoding="utf-8")
    run_stage(replace(stage, outputs=("a.txt",)), build)
    assert (stage.folder / "deep" / "b.txt").is_file()


def test_what_it_is_not_to_make_now_stays_only_where_it_is_up_to_date(stage, build):
    run_stage(stage, build)
    assert remove_outdated(stage).skipped
    assert (stage.folder / "a.txt").is_file()
    stage.inputs[0].write_text("two", encoding="utf-8")
    assert not remove_outdated(stage).skipped
    assert not [path for path in stage.folder.rglob("*") if path.is_file()]
    assert remove_outdated(stage).skipped


def test_same_inputs_same_bytes(stage, build):
    run_stage(stage, build)
    before = stage.sidecar.read_bytes()
    stage.sidecar.unlink()
    run_stage(stage, build)
    assert stage.sidecar.read_bytes() == before


def test_failure_keeps_the_old_outputs_and_leaves_nothing_half_written(stage, build):
    run_stage(stage, build)
    stage.inputs[0].write_text("two", encoding="utf-8")

    def fail(folder: Path) -> dict[str, int]:
        (folder / "a.txt").write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_stage(stage, fail)
    assert (stage.folder / "a.txt").read_text(encoding="utf-8") == "oneone"
    assert not list(stage.folder.glob(".unfinished-*"))


def test_what_a_killed_run_left_is_removed(stage, build):
    left = stage.folder / ".unfinished-copy-123"
    left.mkdir(parents=True)
    (left / "a.txt").write_text("half", encoding="utf-8")
    run_stage(stage, build)
    assert not left.exists()
    left.mkdir()  # as by one that was killed when all was written
    assert run_stage(stage, build).skipped
    assert not left.exists()


def test_missing_input_is_named(stage, build):
    stage.inputs[0].unlink()
    with pytest.raises(DataError, match=r"copy needs .*source\.txt, which is missing"):
        run_stage(stage, build)


def test_inputs_of_one_name_in_two_folders_are_told_apart(stage, build, tmp_path):
    twin = tmp_path / "other" / "source.txt"
    twin.parent.mkdir()
    twin.write_text("twin", encoding="utf-8")
    both = Stage("copy", stage.folder, stage.outputs, (stage.inputs[0], twin), {}, stage.code)
    run_stage(both, build)
    recorded = json.loads(both.sidecar.read_text(encoding="utf-8"))
    assert sorted(recorded["inputs"]) == ["in/source.txt", "other/source.txt"]


def test_small_files_are_written_whole(tmp_path):
    write_atomically(tmp_path / "new" / "file.txt", "text\n")
    assert (tmp_path / "new" / "file.txt").read_text(encoding="utf-8") == "text\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.txt"]


def test_an_input_that_its_stage_did_not_leave_so_is_refused(stage, build, tmp_path):
    run_stage(stage, build)
    later = Stage("later", tmp_path / "later", ("a.txt", "deep/b.txt"), (stage.folder / "deep" / "b.txt",), {}, ())
    assert not run_stage(later, build).skipped
    (stage.folder / "deep" / "b.txt").write_text("B", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"b\.txt was damaged or changed since its stage wrote it.*delete .*copy\.stage\.json"
    ):
        run_stage(later, build)
    stage.sidecar.unlink()
    assert not run_stage(later, build).skipped


def test_a_file_that_two_stages_can_make_is_what_the_last_of_them_wrote(stage, build, tmp_path):
    run_stage(stage, build)
    stage.inputs[0].write_text("two", encoding="utf-8")
    run_stage(Stage("other", stage.folder, stage.outputs, stage.inputs, {}, stage.code), build)
    later = Stage("later", tmp_path / "later", stage.outputs, (stage.folder / "a.txt",), {}, ())
    assert not run_stage(later, build).skipped


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("No space left on device"),  # as polars raises for CSV files
        pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)"),
    ],
    ids=["python", "polars csv", "polars parquet"],
)
def test_a_full_disk_is_told_and_leaves_nothing_half_written(stage, error):
    def fail(folder: Path) -> dict[str, int]:
        (folder / "a.txt").write_text("half")
        raise error

    with pytest.raises(DiskError, match=r"copy: the disk of .*out is full .*; free some space"):
        run_stage(stage, fail)
    assert not list(stage.folder.iterdir())


def test_a_folder_that_may_not_be_written_is_told(stage):
    def fail(folder: Path) -> dict[str, int]:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    with pytest.raises(DiskError, match=r"cannot be written \(Permission denied\); check its permissions"):
        run_stage(stage, fail)


def test_a_folder_that_may_not_even_be_looked_at_is_told(tmp_path, monkeypatch):
    def refuse(path: str | Path) -> SimpleNamespace:
        if Path(path).is_relative_to(tmp_path / "closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return SimpleNamespace(free=1 << 30)

    monkeypatch.setattr("tasks.core.errors.shutil.disk_usage", refuse)
    monkeypatch.setattr(Path, "exists", refuse)  # as of Python 3.11 it raises this error
    folder = tmp_path / "closed" / "data"
    told = disk_error(PermissionError(errno.EACCES, "Permission denied", str(folder)), folder, "copy")
    assert isinstance(told, DiskError)
    assert f"{folder} cannot be written (Permission denied)" in str(told)


def test_an_error_of_the_work_itself_is_not_taken_for_the_disk(stage):
    def fail(_folder: Path) -> dict[str, int]:
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")

    with pytest.raises(FileNotFoundError):
        run_stage(stage, fail)


def test_an_error_without_words_on_a_disk_without_room_is_the_disks(stage, monkeypatch):
    def fail(_folder: Path) -> dict[str, int]:
        raise pl.exceptions.ComputeError("parquet: File out of specification: Invalid thrift: transport error")

    monkeypatch.setattr("tasks.core.errors.shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(DiskError, match=r"is full .*transport error"):
        run_stage(stage, fail)
