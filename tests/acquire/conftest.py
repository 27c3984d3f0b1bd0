import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

HEADER = "movie_id,movie_name,genre,description\n"
ROW = 'tt0000001,The Lantern,"Drama, War",A nurse keeps a lantern lit.\n'

MakeListings = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeListings:
    """Make a folder of small listings; each keyword is a stem and what the file holds."""

    def make(folder: str = "mine", **contents: str) -> Path:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        for stem, text in (contents or {"action": HEADER + ROW}).items():
            (path / f"{stem}.csv").write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def make_zip(tmp_path: Path) -> MakeListings:
    """Make an archive from names and contents."""

    def make(contents: dict[str, str], name: str = "archive.zip") -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, text in contents.items():
                archive.writestr(inside, text)
        return path

    return make
