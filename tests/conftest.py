"""Fixtures for all tests: a data folder of their own, and the real listings where they are at hand."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import numpy as np
import polars as pl
import pytest

from tasks.core import storage
from tasks.core.errors import is_installed
from tasks.core.settings import PROJECT_ROOT, DataPaths, data_paths, settings

# A busy machine is slow, which is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TESTS = Path(__file__).parent
REAL_LISTINGS = Path(
    os.environ.get("GENREFLOW_REAL_LISTINGS", PROJECT_ROOT.parent / "shared" / "data" / "imdb-by-genre" / "raw")
)

# Fixtures that start what takes seconds; whoever asks for one is in the set of `make test-services`.
SERVICES = {"s3_server", "browser"}

# Test files and folders that need an extra of pyproject.toml; without it they are skipped before they are imported.
NEEDS = {
    "models/encoder": "encoders",
    "models/representation/test_vector_file.py": "vectors",
    "models/representation/test_word_vectors.py": "vectors",
    "evaluate/test_label_issues.py": "audit",
    "evaluate/test_label_audit.py": "audit",
    "flows/test_audit.py": "audit",
    "flows/test_on_dask.py": "dask",
    "serve/test_demo.py": "demo",
}

# Tests and their cases, by patterns of their ids, that need an extra.
NEEDS_OF_CASES = {
    r"models/.*\[[^]]*(word2vec|fasttext|-means)": "vectors",
    r"models/test_memory\.py::test_weights_of_a_network_count": "encoders",
    r"flows/test_command_line\.py::test_every_preset_is_a_valid_configuration": "encoders",
}

FILLER = ["young", "story", "finds", "town", "returns", "night", "people", "old"]  # tells no genre

# Texts that break naive writers of one-line formats, and what they are when normalised.
AWKWARD = {
    "newline": ("one\ntwo", "one two"),
    "carriage return": ("one\r\ntwo\rthree", "one two three"),
    "tab": ("one\ttwo", "one two"),
    "vertical tab and form feed": ("one\vtwo\fthree", "one two three"),
    "separators 1C to 1F": ("a\x1cb\x1dc\x1ed\x1fe", "a b c d e"),
    "next line": ("one\x85two", "one two"),
    "no-break space": ("one\u00a0two", "one two"),
    "narrow no-break space": ("one\u202ftwo", "one two"),
    "thin space": ("one\u2009two", "one two"),
    "ideographic space": ("one\u3000two", "one two"),
    "line and paragraph separators": ("one\u2028two\u2029three", "one two three"),
    "double, leading and trailing spaces": ("  one   two ", "one two"),
    "decomposed accent": ("cafe\u0301", "café"),
    "decomposed accent behind a zero-width space": ("cafe\u200b\u0301", "café"),
    "lone surrogates": ("one\ud800 \udffftwo", "one two"),
    "zero-width characters": ("o\u200bn\u200ce\u200d\u2060", "one"),
    "bidirectional marks": ("\u202aone\u202c \u2066two\u2069\u200e", "one two"),
    "byte-order mark": ("\ufeffone", "one"),
    "soft hyphen": ("won\u00adder", "wonder"),
    "nul": ("o\x00ne", "one"),
    "other controls": ("o\x07n\x1be\x7f\x9c", "one"),
    "replacement character": ("one \ufffd two\ufffd", "one two"),
    "noncharacters": ("one\ufffe\U0010ffff", "one"),
    "empty": ("", ""),
    "only white space": (" \t\u00a0\n", ""),
    "only invisible characters": ("\u200b\ufeff\x00\ud800", ""),
    "nothing to mend": ("Ça va, 東京 — 😀 & 1?", "Ça va, 東京 — 😀 & 1?"),
}


class Skipped(pytest.File):
    """A test file, or a folder of them, of which nothing is imported."""

    def collect(self) -> NoReturn:
        """Skip it."""
        pytest.skip(f"needs genreflow[{NEEDS[str(self.path.relative_to(TESTS))]}]", allow_module_level=True)


def skipped(path: Path, parent: pytest.Collector) -> Skipped | None:
    """Return what stands for a test file or folder whose packages are not installed, None for others."""
    extra = NEEDS.get(str(path.relative_to(TESTS))) if path.is_relative_to(TESTS) else None
    return Skipped.from_parent(parent, path=path) if extra and not is_installed(extra) else None


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> Skipped | None:
    """Skip a folder whose packages are not installed."""
    return skipped(path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Skipped | None:
    """Skip a test file whose packages are not installed."""
    return skipped(module_path, parent)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a service, and those whose packages are not installed."""
    missing = {pattern: extra for pattern, extra in NEEDS_OF_CASES.items() if not is_installed(extra)}
    for item in items:
        for extra in (extra for pattern, extra in missing.items() if re.search(pattern, item.nodeid)):
            item.add_marker(pytest.mark.skip(reason=f"needs genreflow[{extra}]"))
        if SERVICES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.services)


@pytest.fixture(params=AWKWARD.values(), ids=AWKWARD)
def awkward(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An awkward text and its normalised form."""
    return request.param


@pytest.fixture(scope="session")
def settings_in() -> Callable[[Path], AbstractContextManager[dict[str, str]]]:
    """Have the settings point to folders under a root, for as long as a context lasts; it gives the variables set."""

    @contextlib.contextmanager
    def point(root: Path) -> Iterator[dict[str, str]]:
        folders = {"GENREFLOW_DATA_DIR": str(root / "data"), "GENREFLOW_MLRUNS_DIR": str(root / "mlruns")}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in folders.items():
                patch.setenv(name, value)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            settings.cache_clear()
            yield folders
        settings.cache_clear()

    return point


@pytest.fixture
def paths(settings_in, tmp_path: Path) -> Iterator[DataPaths]:
    """The layout of a fresh data folder that the settings point to for the time of one test."""
    with settings_in(tmp_path):
        yield data_paths()


@pytest.fixture(scope="session")
def invent_movies() -> Callable[[dict[str, list[str]], int, int], pl.DataFrame]:
    """Make movies with one or two genres; three of the words given for each are told, and five that tell none."""

    def invent(words: dict[str, list[str]], number: int, seed: int) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        rows = []
        for movie in range(number):
            genres = sorted(rng.choice(sorted(words), size=rng.integers(1, 3), replace=False).tolist())
            told = [str(rng.choice(words[genre])) for genre in genres for _ in range(3)]
            told += rng.choice(FILLER, 5).tolist()
            rng.shuffle(told)
            text = " ".join(told)
            rows.append({"movie_id": f"tt{movie:07}", "movie_name": "", "description": text, "genres": genres})
        return pl.DataFrame(rows)

    return invent


@pytest.fixture(scope="session")
def real_listings() -> Path:
    """The folder of real per-genre CSVs; its licence keeps it out of the repository."""
    if not any(REAL_LISTINGS.glob("*.csv")):
        pytest.skip(f"no real listings in {REAL_LISTINGS}: set GENREFLOW_REAL_LISTINGS to a folder of Kaggle CSVs")
    return REAL_LISTINGS


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3-compatible server on loopback."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes seconds to import, and few tests want it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket named `movies` on it, as boto3 gives it, and settings with which it is reached."""
    import boto3  # noqa: PLC0415

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    nowhere = str(tmp_path / "no-such-file")
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
        "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_CONFIG_FILE": nowhere,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers the credentials of an earlier test
    storage._client.cache_clear()
    made = boto3.Session().resource("s3").Bucket("movies")
    made.create()
    yield made
    made.objects.all().delete()
    made.delete()
    storage._client.cache_clear()


@pytest.fixture(autouse=True)
def same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the code of models that a test loads: worker processes would look for the project in it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
