"""A zip of listings, as the Kaggle download is. Owns what is accepted in an archive and how it is unpacked.

Python's `zipfile` checks sums and never leaves the target folder, but it drops `../` in silence, lets the later of two
equal names win, and stops no bomb: all of that is refused here before a byte is written.
"""

import re
import shutil
import stat
import zlib
from pathlib import Path, PurePosixPath
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from tasks.acquire.csv_header import check_header
from tasks.errors import SourceError

MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 4 << 30  # the whole Kaggle set has 0.1 GiB
MAX_RATIO: Final = 100  # unpacked to packed; listings reach 5
MAX_NAME_BYTES: Final = 200  # file systems take 255, and temporary names need some
DAMAGED: Final = (BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)  # what a broken archive raises


def list_archive(path: Path) -> dict[str, str]:
    """Return the CSVs of an archive: the name that each gets, and its name inside. Other entries are left out.

    Raises:
        SourceError: no zip, damaged, no CSV in it, an entry that is unsafe, encrypted, a link or packed in another way
            than zip's usual one, two CSVs of one name, or more entries or bytes than a listing can have.
    """
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGED as error:
        raise SourceError(f"{path} is no zip, or a damaged one ({error}). Download it again.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    if len(entries) > MAX_ENTRIES:
        raise SourceError(
            f"{path} has {len(entries):,} entries, more than {MAX_ENTRIES:,}: this is not a set of listings."
        )
    names: dict[str, str] = {}
    for entry in filter(_is_csv, entries):
        _check_entry(path, entry)
        if _is_hidden(entry):
            continue
        name = PurePosixPath(entry.filename).stem + ".csv"
        if name.casefold() in map(str.casefold, names):
            raise SourceError(
                f"{path} has two files named {name}: {names.get(name, name)} and {entry.filename}. Keep one."
            )
        names[name] = entry.filename
    if not names:
        raise SourceError(f"{path} has no *.csv in it. Expected is the Kaggle download, a zip of per-genre CSVs.")
    _check_size(path, sum(entry.file_size for entry in entries if entry.filename in names.values()))
    return names


def unpack_archive(path: Path, folder: Path) -> None:
    """Write the CSVs of an archive into a folder, bytes unchanged, and check the first row of each.

    Raises:
        SourceError: as `list_archive`; an entry is damaged, or its columns are not those of a listing.
    """
    names = list_archive(path)
    with ZipFile(path) as archive:
        for name, inside in names.items():
            try:
                with archive.open(inside) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except DAMAGED as error:
                raise SourceError(f"{path}: {inside} is damaged ({error}). Download the archive again.") from error
            check_header(folder / name, f"{path}: {inside}")


def _is_csv(entry: ZipInfo) -> bool:
    return PurePosixPath(entry.filename).suffix.lower() == ".csv" and not entry.is_dir()


def _is_hidden(entry: ZipInfo) -> bool:
    """Return whether an entry is a hidden file, such as the shadows that macOS packs beside each file."""
    return PurePosixPath(entry.filename).name.startswith(".")


def _check_entry(path: Path, entry: ZipInfo) -> None:
    name = entry.filename
    if name.startswith("/") or ".." in PurePosixPath(name).parts or re.search(r"[\\:\x00-\x1f]", name):
        raise SourceError(f"{path}: the entry {name!r} points out of its folder. Do not trust this archive.")
    if len(PurePosixPath(name).name.encode()) > MAX_NAME_BYTES:
        raise SourceError(f"{path}: the name of the entry {name[:60]}... is too long for a file. Shorten it.")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):  # 0: packed where there are no such types
        raise SourceError(f"{path}: the entry {name} is a link or a device, not a file. Pack the files themselves.")
    if entry.header_offset < 0:
        raise SourceError(
            f"{path}: the entry {name} is damaged (it begins before the file). Download the archive again."
        )
    if entry.flag_bits & 1:
        raise SourceError(f"{path}: the entry {name} is encrypted. Unpack it and pass the folder.")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise SourceError(f"{path}: the entry {name} is packed in an unusual way. Unpack it and pass the folder.")


def _check_size(path: Path, unpacked: int) -> None:
    packed = path.stat().st_size
    if unpacked > MAX_BYTES or unpacked > MAX_RATIO * packed:
        raise SourceError(
            f"{path} would unpack {packed:,} bytes to {unpacked:,}; accepted are {MAX_BYTES:,} and {MAX_RATIO} "
            "times its size. If you trust it, unpack it and pass the folder."
        )
