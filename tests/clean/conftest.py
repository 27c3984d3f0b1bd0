"""Listings written for one test, and cleaning them in one call."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from tasks.clean.movies import build_movies
from tasks.clean.profiles import CleanConfig, build_profile
from tasks.clean.read import find_listings
from tasks.clean.rules import Ledger
from tasks.core import schema

Row = Mapping[str, str]


@pytest.fixture
def row() -> Callable[..., Row]:
    """One raw row; whatever is not given is plausible."""

    def make(movie_id: str = "tt0000001", **fields: str) -> Row:
        known = {
            "movie_name": f"Film {movie_id}",
            "genre": "Drama",
            "description": f"A sailor looks for her ship, {movie_id}.",
        }
        return {**dict.fromkeys(schema.RAW_COLUMNS, ""), **known, "movie_id": movie_id, **fields}

    return make


@pytest.fixture
def listing(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as `raw/<name>.csv` and return its path."""

    def write(*rows: Row, name: str = "drama") -> Path:
        path = tmp_path / "raw" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, schema.RAW_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture(scope="session")
def cleaned() -> Callable[..., tuple[pl.DataFrame, Ledger]]:
    """Clean a folder's listings without writing: the movies and the ledger."""

    def clean(folder: Path, crawl: Path | None = None, **config: object) -> tuple[pl.DataFrame, Ledger]:
        ledger = Ledger()
        profile = build_profile(CleanConfig.model_validate(config))
        return build_movies(find_listings(folder), crawl, profile, ledger), ledger

    return clean


@pytest.fixture(scope="session")
def adds_up() -> Callable[[Mapping[str, int]], bool]:
    """Whether every row read is accounted for."""

    def check(counts: Mapping[str, int]) -> bool:
        dropped = sum(count for key, count in counts.items() if key.startswith("dropped/"))
        return counts["rows_read"] == counts["movies_kept"] + counts["merged/same_movie"] + dropped

    return check


@pytest.fixture(scope="session")
def csv_bytes() -> Callable[[Sequence[Sequence[str]]], bytes]:
    """Rows of fields as well-formed CSV."""

    def encode(rows: Sequence[Sequence[str]]) -> bytes:
        lines = (",".join('"' + field.replace('"', '""') + '"' for field in fields) for fields in rows)
        return "".join(f"{line}\n" for line in lines).encode()

    return encode
