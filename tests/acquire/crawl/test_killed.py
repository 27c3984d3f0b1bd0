"""A crawl that is killed again and again, at moments that nobody chose: nothing is lost, nothing is asked twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tasks.acquire.crawl.journal import is_foreign
from tasks.core.settings import DataPaths
from tasks.stage import TEMPORARY_PREFIX

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

N_KILLS = 25
IDS = [f"tt{number:07}" for number in range(1, 5001)]

# Imports once, then forks a worker for each line that it reads: a worker starts in milliseconds, and can be killed.
NURSERY = """
import os, sys
from dataclasses import replace
from tasks.acquire.config import CrawlConfig
from tasks.acquire.crawl.crawl import run_crawl
from tasks.acquire.crawl.journal import export_plots
from tasks.acquire.crawl.journal import Journal, open_journal
from tasks.acquire.crawl.journal import find_missing
from tasks.core.settings import data_paths

config = CrawlConfig.model_validate_json(sys.argv[1])

def say(text):
    os.write(1, f"{text}\\n".encode())

def crawl():  # and acknowledge each id after its answer was recorded
    record = Journal.record
    def record_and_say(self, source, answers, now):
        record(self, source, answers, now)
        say("\\n".join(f"{movie_id} {answer.state}" for movie_id, answer in answers.items()))
    Journal.record = record_and_say
    run_crawl(data_paths(), config)

def export():  # all plots and every second plot in turn, for ever
    paths = data_paths()
    missing = find_missing(paths.raw)
    with open_journal(paths.crawl_journal) as journal:
        while True:
            for some in (missing, replace(missing, ids=missing.ids[::2])):
                export_plots(paths, config, journal, some)
                say("exported")

for line in sys.stdin:
    if os.fork() == 0:
        say(os.getpid())
        {"crawl": crawl, "export": export}[line.strip()]()
        os._exit(0)
    os.wait()
    say("end")
"""


@dataclass
class Nursery:
    process: subprocess.Popen

    def start(self, work: str) -> int:
        """Start a worker and return its process id."""
        self.process.stdin.write(f"{work}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def finish(self) -> list[str]:
        """Return what the worker said until it ended."""
        return list(iter(lambda: self.process.stdout.readline().strip(), "end"))

    def kill_after(self, pid: int, n_lines: int, seconds: float) -> list[str]:
        """Kill the worker that long after it said so many lines, and return all that it said."""
        said = []
        while len(said) < n_lines and (not said or said[-1] != "end"):
            said.append(self.process.stdout.readline().strip())
        if said[-1:] == ["end"]:
            return said[:-1]
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):  # it was done
            os.kill(pid, signal.SIGKILL)
        return said + self.finish()


@contextlib.contextmanager
def nursery(config, paths: DataPaths) -> Iterator[Nursery]:
    environment = {**os.environ, "GENREFLOW_DATA_DIR": str(paths.root)}
    command = [sys.executable, "-c", NURSERY, config.model_dump_json()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        yield Nursery(process)
        process.stdin.close()


def title(movie_id: str) -> dict[str, object] | None:
    number = int(movie_id[2:])
    texts = [f"Ferryman {number}.", "A mill…", "Add a Plot", f'A "quoted", text\non two lines, of {number}.']
    plot = {"plotText": {"plainText": texts[number % 4]}}
    return None if number % 11 == 0 else {"id": movie_id, "plot": plot}


@pytest.fixture
def config(campaign):
    """A crawl of 5,000 ids in 200 batches, each of which takes the server some milliseconds."""

    def answer(request):
        time.sleep(0.004)
        return campaign.server.json({"data": {"titles": [title(movie_id) for movie_id in request.ids]}})

    campaign.lack(*IDS)
    campaign.server.answer = answer
    return campaign.config("imdb_graphql", batch_size=25, rate_hz=1e6, workers=4)


def test_a_crawl_killed_25_times_ends_like_an_undisturbed_one(campaign, config, tmp_path):
    moments = random.Random(42069)
    acknowledged: dict[str, str] = {}
    n_productive = 0
    with nursery(config, campaign.paths) as workers:
        for turn in range(N_KILLS):
            settled = campaign.states("imdb_graphql")
            first_request = len(campaign.server.requests)
            pid = workers.start("crawl")
            n_lines = moments.randint(1, 200) if turn % 5 else 0  # every fifth is killed while it starts
            said = workers.kill_after(pid, n_lines, moments.uniform(0, 0.02))
            n_productive += 0 < len(said) < len(IDS) - len(settled)
            acknowledged |= dict(line.split(" ") for line in said)
            assert acknowledged.items() <= campaign.states("imdb_graphql").items()
            asked = {name for request in campaign.server.requests[first_request:] for name in request.ids}
            assert not asked & settled.keys()
        assert n_productive >= N_KILLS / 2
        workers.start("crawl")
        workers.finish()
    assert campaign.states("imdb_graphql").keys() == set(IDS)

    undisturbed = DataPaths(tmp_path / "undisturbed")
    undisturbed.root.mkdir()
    undisturbed.raw.symlink_to(campaign.paths.raw)
    with nursery(config, undisturbed) as workers:
        workers.start("crawl")
        assert len(workers.finish()) == len(IDS)
    for name in (undisturbed.crawl_csv.name, undisturbed.crawl_sources_csv.name):
        once, often = undisturbed.crawl_csv.with_name(name), campaign.paths.crawl_csv.with_name(name)
        assert often.read_bytes() == once.read_bytes()


def test_an_export_killed_25_times_leaves_a_whole_file_that_is_known_as_ours(campaign, config):
    seen: set[bytes] = set()
    moments = random.Random(42069)
    with nursery(config, campaign.paths) as workers:
        workers.start("crawl")
        workers.finish()
        whole = campaign.paths.crawl_csv.read_bytes()
        for _ in range(N_KILLS):
            workers.kill_after(workers.start("export"), moments.randint(1, 3), moments.uniform(0, 0.05))
            seen.add(campaign.paths.crawl_csv.read_bytes())
            assert not is_foreign(campaign.paths)
        workers.start("crawl")
        workers.finish()
    (half,) = seen - {whole}
    assert set(half.split(b"\ntt")) < {*whole.split(b"\ntt"), half.split(b"\ntt")[-1]}
    assert campaign.paths.crawl_csv.read_bytes() == whole
    assert not list(campaign.paths.crawl_csv.parent.glob(f"{TEMPORARY_PREFIX}*"))
