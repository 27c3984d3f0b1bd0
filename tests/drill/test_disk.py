"""A full disk, a folder that may not be written, files that change between stages."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Home, Nursery, new_home
from wild import IS_FULL

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

STAGES = ("acquire", "clean", "split", "features", "train", "evaluate", "draw", "leaderboard", "versus")
DAMAGED = ("clean/movies.parquet", "models/nb-counts/scores_test.parquet", "models/nb-counts/metrics.json")
# What cannot be made again: what the user may have put there, and where movies were before.
IRREPLACEABLE = {"raw/action.csv": "move them elsewhere", "split/splits.parquet": "bring it back, or delete it"}


@pytest.fixture
def small_disk(tmp_path: Path, empty_store: Path) -> Iterator[Home]:
    """Folders whose data lies on a disk of its own of 64 MB; the MLflow store does not."""
    home = new_home(tmp_path / "home", empty_store)
    home.data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(home.data)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk of its own cannot be mounted: that needs root")
    yield home
    subprocess.run(["umount", "--lazy", str(home.data)], check=True)


@pytest.mark.parametrize("stage", STAGES if IS_FULL else ("clean", "train"))
def test_a_full_disk_is_told_and_the_same_command_goes_on(stage, undisturbed, nursery: Nursery, small_disk) -> None:
    fault = {"do": "fill", "at": rf"\.unfinished-{stage}", "to": str(small_disk.data)}
    ended = nursery.run(small_disk, fault)
    assert ended.code == 1, ended.output
    assert "; free some space" in ended.output
    assert ended.is_plain(), ended.output
    assert small_disk.unfinished() == []
    assert "RUNNING" not in small_disk.statuses()
    (small_disk.data / "ballast").unlink()
    again = nursery.run(small_disk)
    assert again.code == 0, again.output
    assert small_disk.results() == undisturbed.home.results()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(nursery: Nursery, finished: Home) -> None:
    results = finished.data / "results"
    (results / "leaderboard.stage.json").unlink()
    results.chmod(0o555)
    ended = nursery.run(finished)
    results.chmod(0o755)
    assert ended.code == 1
    assert "cannot be written (Permission denied); mend its permissions" in ended.output
    assert ended.is_plain(), ended.output


def test_files_that_were_cut_off_or_flipped_between_runs_are_made_again(
    undisturbed, nursery: Nursery, finished: Home
) -> None:
    for number, name in enumerate(DAMAGED):
        path = finished.data / name
        content = bytearray(path.read_bytes())
        if number % 2:
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        else:
            path.write_bytes(content[: len(content) // 2])
    ended = nursery.run(finished)
    assert ended.code == 0, ended.output
    assert ended.output.count("is not what the stage wrote; the stage runs again") >= len(DAMAGED)
    assert finished.results() == undisturbed.home.results()


@pytest.mark.parametrize("name", IRREPLACEABLE)
def test_what_cannot_be_made_again_is_refused_with_the_remedy(nursery: Nursery, finished: Home, name: str) -> None:
    path = finished.data / name
    path.write_bytes(content := path.read_bytes()[:-20])
    ended = nursery.run(finished)
    assert ended.code == 1
    assert path.name in ended.output
    assert IRREPLACEABLE[name] in ended.output
    assert path.read_bytes() == content
