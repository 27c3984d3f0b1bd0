"""Checks of listings: zip archives of CSVs, and the header row of a CSV."""

import codecs
import csv
import re
import shutil
import stat
import zlib
from pathlib import Path, PurePosixPath
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from tasks.core.errors import SourceError
from tasks.core.schema import RAW_COLUMNS, REQUIRED_RAW_COLUMNS

HEAD_BYTES: Final = 1 << 16  # more than any header row
MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 4 << 30  # the whole Kaggle set has 0.1 GiB
MAX_RATIO: Final = 100  # unpacked to packed; listings reach 5
MAX_NAME_BYTES: Final = 200  # file systems take 255, and temporary names need some
DAMAGED: Final = (BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)  # what a broken archive raises


def list_archive(path: Path) -> dict[str, str]:
    """Return the CSVs of an archive: the name of each file to write, and its name inside. Other entries are ignored.

    `zipfile` checks sums and never leaves the target folder, but it silently drops `../`, lets the later of two equal
    names win, and does not stop a zip bomb: all of that is refused here before anything is written.

    Raises:
        SourceError: it is no sound zip, has no CSV or two of one name, an unsafe entry, or too many entries or bytes.
    """
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGED as error:
        raise SourceError(f"{path} is not a zip file, or is damaged ({error}). Download it again.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    if len(entries) > MAX_ENTRIES:
        too_many = f"{len(entries):,} entries, more than {MAX_ENTRIES:,}"
        raise SourceError(f"{path} has {too_many}: this is not a set of listings.")
    names: dict[str, str] = {}
    for entry in entries:
        inside = PurePosixPath(entry.filename)
        name = f"{inside.stem}.csv"
        if inside.suffix.lower() != ".csv" or entry.is_dir():
            continue
        if objection := _object_to(entry):
            raise SourceError(f"{path}: {objection}")
        if name.startswith("."):  # such as the shadow files that macOS adds
            continue
        if name.casefold() in map(str.casefold, names):
            twice = f"{names.get(name, name)} and {entry.filename}"
            raise SourceError(f"{path} has two files named {name}: {twice}. Keep one.")
        names[name] = entry.filename
    if not names:
        raise SourceError(f"{path} has no *.csv in it. Expected the Kaggle download, a zip of per-genre CSVs.")
    packed = path.stat().st_size
    unpacked = sum(entry.file_size for entry in entries if entry.filename in names.values())
    if unpacked > min(MAX_BYTES, MAX_RATIO * packed):
        raise SourceError(
            f"{path} would unpack {packed:,} bytes to {unpacked:,}; the limits are {MAX_BYTES:,} bytes and {MAX_RATIO} "
            "times its size. If you trust it, unpack it and pass the folder."
        )
    return names


def _object_to(entry: ZipInfo) -> str | None:
    """Return why an entry is not unpacked, and what to do."""
    path, shown = PurePosixPath(entry.filename), f"the entry {entry.filename}"
    kind = stat.S_IFMT(entry.external_attr >> 16)  # 0: packed on a system without such types
    is_outside = path.is_absolute() or ".." in path.parts or re.search(r"[\\:\x00-\x1f]", entry.filename)
    is_packed_oddly = entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED)
    objections = (
        (is_outside, f"the entry {entry.filename!r} points outside its folder. Do not trust this archive."),
        (len(path.name.encode()) > MAX_NAME_BYTES, f"the name of {shown[:70]}... is too long for a file. Shorten it."),
        (kind not in (0, stat.S_IFREG), f"{shown} is a link or a device, not a file. Pack the files themselves."),
        (entry.header_offset < 0, f"{shown} is damaged (it begins before the file). Download the archive again."),
        (entry.flag_bits & 1, f"{shown} is encrypted. Unpack it and pass the folder."),
        (is_packed_oddly, f"{shown} is compressed in an unusual way. Unpack it and pass the folder."),
    )
    return next((text for applies, text in objections if applies), None)


def unpack_archive(path: Path, folder: Path) -> None:
    """Write the CSVs of an archive to a folder, bytes unchanged, after all checks; SourceError if one fails."""
    names = list_archive(path)
    with ZipFile(path) as archive:
        for name, inside in names.items():
            try:
                with archive.open(inside) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except DAMAGED as error:
                raise SourceError(f"{path}: {inside} is damaged ({error}). Download the archive again.") from error
            check_header(folder / name, f"{path}: {inside}")


def check_header(path: Path, shown_as: str) -> None:
    """Check that a CSV's first row has the required columns, in any order, with any others, with or without a BOM.

    Spaces around a name are ignored. A column of the Kaggle set may occur only once.

    Raises:
        SourceError: it is empty, unreadable, not text, or a column is missing or repeated; names it as `shown_as`.
    """
    try:
        with path.open("rb") as file:
            head = file.readline(HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"{shown_as} cannot be read: {error.strerror}. Check its permissions.") from error
    where = f"{shown_as}, line 1"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
        raise SourceError(f"{where}: this is UTF-16, or not text at all. Save the file as UTF-8, or remove it.")
    try:  # a name in another encoding is not one of those wanted
        columns = [name.strip() for name in next(csv.reader([head.decode("utf-8-sig", "replace")]), [])]
    except csv.Error as error:  # the only thing in a single line that the csv module refuses
        raise SourceError(
            f"{where}: its lines end in carriage returns (CR) alone. Save the file with line ends LF or CRLF, or "
            "remove it."
        ) from error
    found = ", ".join(" ".join(name.split())[:40] for name in columns[:20]) or "nothing"
    if missing := [column for column in REQUIRED_RAW_COLUMNS if column not in columns]:
        raise SourceError(
            f"{where}: no column {' or '.join(missing)}; found {found}. Expected the columns of the Kaggle set "
            f"({', '.join(RAW_COLUMNS)}), of which {', '.join(REQUIRED_RAW_COLUMNS)} are required. Add the missing "
            "ones, or remove the file."
        )
    if repeated := [column for column in RAW_COLUMNS if columns.count(column) > 1]:
        raise SourceError(
            f"{where}: more than one column {' and '.join(repeated)}; found {found}. Keep one of each, or remove the "
            "file."
        )
