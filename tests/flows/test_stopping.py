"""Ctrl-C while tasks run that nothing can interrupt: the command ends, and what has to be in order is."""

import os
import signal
import subprocess
import sys
import time

import pytest

# Leaving the pool waits for its threads, as Prefect's task runner does.
PROGRAM = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from flows import cli
from flows.cli import run_command
from flows.config import FlowConfig

cli.UNWIND_S = 0.5

def run(config):
    cli.at_stop.append(lambda: print("first in, last out"))
    cli.at_stop.append(lambda: 1 / 0)
    cli.at_stop.append(lambda: print("last in, first out"))
    with ThreadPoolExecutor(1) as pool:
        fits = [pool.submit(time.sleep, 60) for _ in range(3)]
        print("fitting", flush=True)
        fits[0].result()

run_command(FlowConfig, run)
"""


def start() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "fitting\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_ends_though_its_tasks_do_not(number: signal.Signals, code: int) -> None:
    process = start()
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors == "interrupted; run the same command again to continue\n"
    assert output == "last in, first out\nfirst in, last out\n"


def test_a_second_signal_ends_it_at_once() -> None:
    process = start()
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert output == ""
