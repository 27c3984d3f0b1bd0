import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import Downloader, Request

CONTENT = random.Random(11).randbytes(6_000_000)
PIECE = 65_536
PROGRAM = """
import sys
from pathlib import Path
from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import Downloader, Request
Downloader(DownloadConfig()).fetch(Request(sys.argv[1], "set.zip"), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_killed_25_times_at_random_moments_the_file_is_the_same(server: Any, whole: Any, tmp_path: Path) -> None:
    """Each process is killed when the server has sent it some random number of bytes, which may be all of them."""
    dice = random.Random(42)
    limit, reached = 0, threading.Event()

    def answer(asked: Any) -> None:
        start = int(asked.headers.get("range", "bytes=0-")[6:-1])
        if start >= len(CONTENT):
            reached.set()
            return whole(CONTENT)(asked)
        whole(CONTENT, cut_after=0)(asked)
        sent = 0
        for at in range(start, len(CONTENT), PIECE):
            if sent >= limit:
                reached.set()
            asked.socket.sendall(CONTENT[at : at + PIECE])
            sent += PIECE
            time.sleep(0.001)
        return reached.set()

    server.answers = [answer]
    target = tmp_path / "set.zip"
    killed = 0
    while killed < 25:
        limit = dice.randrange(len(CONTENT) // 6)
        reached.clear()
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, f"{server.address}/set", str(target)])
        assert reached.wait(30)
        time.sleep(dice.random() * 0.03)
        process.kill()
        killed += process.wait() == -9
        if target.exists():
            assert target.read_bytes() == CONTENT
            target.unlink()
    assert any("range" in asked.headers for asked in server.asked)
    limit = len(CONTENT)
    Downloader(DownloadConfig()).fetch(Request(f"{server.address}/set", "set.zip"), target)
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]
