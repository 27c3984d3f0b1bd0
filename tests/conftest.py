"""Fixtures for all tests: a data folder of their own, and the real listings where they are at hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.paths import DataPaths, data_paths
from tasks.settings import PROJECT_ROOT, settings

REAL_LISTINGS = Path(
    os.environ.get("GENREFLOW_REAL_LISTINGS", PROJECT_ROOT.parent / "shared" / "data" / "imdb-by-genre" / "raw")
)

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


@pytest.fixture(params=AWKWARD.values(), ids=AWKWARD)
def awkward(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An awkward text and its normalised form."""
    return request.param


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataPaths]:
    """The layout of a fresh data folder that the settings point to for the time of one test."""
    monkeypatch.setenv("GENREFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GENREFLOW_MLRUNS_DIR", str(tmp_path / "mlruns"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings.cache_clear()
    yield data_paths()
    settings.cache_clear()


@pytest.fixture(scope="session")
def real_listings() -> Path:
    """The folder of real per-genre CSVs; its licence keeps it out of the repository."""
    if not any(REAL_LISTINGS.glob("*.csv")):
        pytest.skip(f"no real listings in {REAL_LISTINGS}: set GENREFLOW_REAL_LISTINGS to a folder of Kaggle CSVs")
    return REAL_LISTINGS
