"""Files as they should not be: whatever happens to their bytes, each row is accounted for or the file is refused."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tasks.clean.movies import SIDE_FIELDS
from tasks.clean.read import read_table
from tasks.clean.rules import Ledger
from tasks.core import schema
from tasks.core.errors import GenreflowError

Cleaned = Callable[..., tuple[pl.DataFrame, Ledger]]
AddsUp = Callable[[dict[str, int]], bool]
Encode = Callable[[list[list[str]]], bytes]
Mutation = Callable[[bytearray, random.Random], None]

SIGNIFICANT = (b'"', b",", b"\n", b"\r", b"\r\n", b"\0", b'""', b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xa0", b";")


def flip(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def delete(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    del content[start : start + chance.choice([1, 2, 40, 400])]


def insert(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    content[start:start] = chance.choice(SIGNIFICANT) * chance.choice([1, 1, 1, 50])


def duplicate(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    content[start:start] = content[start : start + chance.choice([1, 3, 60, 600])]


def truncate(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(1, len(content)) :]


def splice(content: bytearray, chance: random.Random) -> None:
    start, end, place = (chance.randrange(len(content)) for _ in range(3))
    moved = content[start:end]
    del content[start:end]
    content[place:place] = moved


MUTATIONS: tuple[Mutation, ...] = (flip, delete, insert, duplicate, truncate, splice)


def listing_bytes(encode: Encode) -> bytes:
    fields = {
        "year": "1999",
        "runtime": "1,040 min",
        "rating": "7.5",
        "director": "Ann Other, \nBo Yi",
        "votes": "1,234",
    }
    rows = []
    for number in range(12):
        text = f'A "salty" tale of\nship {number}, é — sail…' * (number % 3 + 1)
        row = {**fields, "movie_id": f"tt{number % 9}", "movie_name": f"Ship {number}", "genre": "Drama, War"}
        rows.append([{**row, "description": text}.get(name, "") for name in schema.RAW_COLUMNS])
    return encode([list(schema.RAW_COLUMNS), *rows])


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_mutated_files_are_accounted_for_or_refused(
    tmp_path: Path, csv_bytes: Encode, cleaned: Cleaned, adds_up: AddsUp, seed: int
) -> None:
    whole = listing_bytes(csv_bytes)
    n_records, refusals = 0, []
    for case in range(100):
        chance = random.Random(1000 * seed + case)
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            chance.choice(MUTATIONS)(damaged or bytearray(b"\n"), chance)
        path = tmp_path / f"{case:03}.csv"
        path.write_bytes(damaged)
        try:
            table = read_table(path, schema.REQUIRED_RAW_COLUMNS, tuple(SIDE_FIELDS.values()))
        except GenreflowError as error:
            refusals.append(str(error).removeprefix(f"{path}, line 1: "))
            path.unlink()
            continue
        dropped = sum(count for kind, count in table.damage.counts.items() if kind.startswith("dropped/"))
        assert table.n_records == table.rows.height + dropped
        assert set(table.damage.first_lines) == set(table.damage.counts)
        n_records += table.n_records
    assert not any(str(tmp_path) in refusal or "\n" in refusal for refusal in refusals)
    assert len(refusals) < 50
    for profile in ("default", "original"):
        movies, ledger = cleaned(tmp_path, profile=profile)
        assert ledger.counts["rows_read"] == n_records
        assert adds_up(ledger.counts)
        assert movies.schema == schema.MOVIES


@pytest.mark.parametrize("profile", ["default", "original"])
def test_latin1_text_is_read_and_costs_nothing(
    tmp_path: Path, csv_bytes: Encode, cleaned: Cleaned, profile: str
) -> None:
    header = ["movie_id", "movie_name", "genre", "description"]
    rows = [["tt1", "Café", "Drama", "Ein schöner Tag."], ["tt2", "Plain", "War", "A ship."]]
    (tmp_path / "a.csv").write_bytes(csv_bytes([header, *rows]).decode().encode("latin-1"))
    movies, ledger = cleaned(tmp_path, profile=profile)
    assert movies["movie_name"].to_list() == ["Café", "Plain"]
    assert movies["description"].to_list() == ["Ein schöner Tag.", "A ship."]
    assert ledger.counts["repaired/invalid_utf8"] == 2


READ = """
import resource, sys
from pathlib import Path
from tasks.clean.read import read_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = read_table(Path(sys.argv[1]), ("movie_id", "description"))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(table.rows.height, table.n_records, grown // (2**20 if sys.platform == "darwin" else 2**10))
"""


@pytest.mark.parametrize(("filling", "end"), [(b"x", b'"\n'), ("é".encode(), b"\n"), (b"x", b"")])
def test_a_field_of_100_megabytes_costs_its_row_and_little_memory(tmp_path: Path, end: bytes, filling: bytes) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b'movie_id,description\ntt1,A ship.\ntt2,"')
        for _ in range(100):
            file.write(filling * (1_000_000 // len(filling)))
        file.write(end + b"tt3,A boat.\n" * bool(end))
    output = subprocess.run([sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True).stdout
    n_rows, n_records, grown_mb = map(int, output.split())
    assert (n_rows, n_records) == ((2, 3) if end else (1, 2))
    assert grown_mb < 600
