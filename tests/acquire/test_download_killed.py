import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import Downloader, Request

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

CONTENT = random.Random(11).randbytes(6_000_000)
PIECE = 65_536
# Imports once, then forks a process that downloads for each line that it reads.
PROGRAM = """
import os, sys
from pathlib import Path
from tasks.acquire.config import DownloadConfig
from tasks.acquire.download import Downloader, Request
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        Downloader(DownloadConfig()).fetch(Request(sys.argv[1], "set.zip"), Path(sys.argv[2]))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


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
    command = [sys.executable, "-c", PROGRAM, f"{server.address}/set", str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        while killed < 25:
            limit = dice.randrange(len(CONTENT) // 6)
            reached.clear()
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            assert reached.wait(30)
            time.sleep(dice.random() * 0.03)
            with contextlib.suppress(ProcessLookupError):  # it was done
                os.kill(child, signal.SIGKILL)
            killed += int(nursery.stdout.readline()) == -signal.SIGKILL
            if target.exists():
                assert target.read_bytes() == CONTENT
                target.unlink()
        nursery.stdin.close()
    assert any("range" in asked.headers for asked in server.asked)
    limit = len(CONTENT)
    Downloader(DownloadConfig()).fetch(Request(f"{server.address}/set", "set.zip"), target)
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]
