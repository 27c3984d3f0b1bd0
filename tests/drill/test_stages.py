"""Stages of ten lines under SIGKILL at each of their file events, a full disk, damaged files, another clock."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Home, Nursery, new_home, small_disk, write_listing
from victims import NAMES, OUTPUTS

from tasks.stage import TEMPORARY_PREFIX


@pytest.fixture(scope="module")
def stages(drill_root: Path) -> Iterator[Callable[..., object]]:
    """Run the three stages in a folder, with faults or without."""
    folder = drill_root / "stages"
    folder.mkdir()
    nursery = Nursery(folder)
    yield lambda home, *faults: nursery.run(home, *faults, command="stages")
    nursery.close()


@pytest.fixture
def new_home_of_stages(tmp_path: Path) -> Callable[[object], Home]:
    """Make fresh folders with what the stages start from."""

    def make(name: object) -> Home:
        home = new_home(tmp_path / str(name))
        write_listing(home)
        return home

    return make


@pytest.fixture
def done(stages, new_home_of_stages) -> Home:
    """Folders in which the stages ran to their end."""
    home = new_home_of_stages("done")
    assert stages(home).code == 0
    return home


@pytest.fixture
def n_events(stages, new_home_of_stages, tmp_path: Path) -> int:
    """How many file events the stages have."""
    counted = tmp_path / "events"
    stages(new_home_of_stages("counted"), {"do": "count", "at": 0, "to": str(counted)})
    return int(counted.read_text(encoding="ascii"))


def test_stages_killed_at_any_file_event_go_on_to_the_same_end(stages, new_home_of_stages, done, n_events) -> None:
    assert n_events > 10 * len(NAMES)
    for moment in range(1, n_events + 1):
        home = new_home_of_stages(moment)
        assert stages(home, {"do": "kill_self", "at": moment}).code == -signal.SIGKILL
        before = home.done()
        again = stages(home)
        assert again.code == 0, again.output
        assert before <= again.skipped, f"work that was done before event {moment} is done again"
        assert home.files() == done.files(), f"killed at event {moment}"


def test_a_disk_full_at_any_file_event_is_told_and_the_stages_go_on(stages, done, n_events, tmp_path: Path) -> None:
    home = new_home(tmp_path / "small")
    with small_disk(home.data, 1):
        n_failed = 0
        for moment in range(1, n_events + 1):
            write_listing(home)
            ended = stages(home, {"do": "fill", "at": moment, "to": str(home.data)})
            (home.data / "ballast").unlink()
            n_failed += ended.code
            assert ended.code == 0 or "; free some space" in ended.output, f"full at event {moment}: {ended.output}"
            assert ended.is_plain(), ended.output
            assert home.unfinished() == []
            assert stages(home).code == 0
            assert home.files() == done.files(), f"full at event {moment}"
            for folder in home.data.iterdir():
                shutil.rmtree(folder)
        assert n_failed > n_events / 2


def test_a_folder_that_may_not_be_written_is_told(stages, done: Home) -> None:
    folder = done.data / NAMES[1]
    (folder / OUTPUTS[0]).unlink()
    folder.chmod(0o555)
    ended = stages(done, *([{"do": "become_nobody", "at": 1}] if os.geteuid() == 0 else []))
    folder.chmod(0o755)
    assert ended.code == 1
    assert f"{folder}/" in ended.output
    assert "cannot be written (Permission denied); check its permissions" in ended.output
    assert ended.is_plain(), ended.output
    assert stages(done).code == 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "flipped": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "emptied": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_files_that_were_damaged_between_runs_are_made_again(stages, done: Home, damage: str) -> None:
    whole = done.files()
    for name in [f"{stage}/{output}" for stage in NAMES for output in OUTPUTS]:
        path = done.data / name
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
        ended = stages(done)
        assert ended.code == 0, ended.output
        assert f"{path} is not what the stage wrote; the stage runs again" in ended.output
        assert done.files() == whole


def test_a_clock_that_jumps_changes_no_file(stages, new_home_of_stages, done: Home) -> None:
    for by_s in (86_400.0, -86_400.0):
        home = new_home_of_stages(by_s)
        ended = stages(home, {"do": "move_clock", "at": rf"{TEMPORARY_PREFIX}{NAMES[1]}", "to": by_s})
        assert ended.code == 0, ended.output
        assert ended.is_plain(), ended.output
        assert home.files() == done.files()
