"""The acquire stage: raw listings from any source, copied to `data/raw` unchanged or used in place."""

import codecs
import csv
import json
import logging
import re
import shutil
import stat
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo, is_zipfile

from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.download import DATASET_PAGE, fetch_kaggle_archive, fetch_objects, read_record, summarise
from tasks.acquire.sample import GENRE_FILES, WORDS_FILE, write_sample
from tasks.core.errors import SourceError
from tasks.core.files import hash_file
from tasks.core.schema import RAW_COLUMNS, REQUIRED_RAW_COLUMNS
from tasks.core.settings import DataPaths
from tasks.core.storage import in_storage
from tasks.stage import Stage, StageResult, config_dict, run_stage, write_atomically

logger = logging.getLogger(__name__)

STAGE: Final = "acquire"
RECORD: Final = "acquire.owned.json"  # hashes of the files in `data/raw` that genreflow wrote, by name
HEAD_BYTES: Final = 1 << 16  # more than any header row
MAX_ENTRIES: Final = 1_000
MAX_BYTES: Final = 4 << 30  # the whole Kaggle set has 0.1 GiB
MAX_RATIO: Final = 100  # unpacked to packed; listings reach 5
MAX_NAME_BYTES: Final = 200  # file systems take 255, and temporary names need some
DAMAGED: Final = (BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)  # what a broken archive raises


@dataclass(frozen=True)
class Source:
    """The origin of listings, and how to write them into a folder."""

    kind: str
    label: str
    names: tuple[str, ...]  # of the files to write; empty if they are used in place
    inputs: tuple[Path, ...]
    write: Callable[[Path], Mapping[str, Any] | None]  # writes all files into a folder, may return counts
    config: Mapping[str, Any] = field(default_factory=dict)


def acquire_listings(
    paths: DataPaths, source: str, sample: SampleConfig, seed: int, download: DownloadConfig | None = None
) -> StageResult:
    """Bring `data/raw/*.csv` up to date from a source, so that they hold its listings and no others.

    `source` is `sample`, `kaggle`, a folder of per-genre CSVs (`data/raw` itself is used in place), or a zip of them;
    both also as `s3://bucket/folder/` and `s3://bucket/name.zip`, for which only `max_bytes` of `download` counts.

    The user's files are never overwritten or removed. Ours are those on record by name and hash; the record is written
    before the files, so that a killed run does not leave files that look like the user's.

    Counts: `source`, `label`, `files`, `bytes`, for the sample those of `write_sample`; for `kaggle` and object storage
    also `download`, those of `summarise`, which are not part of the stage's record.
    """
    config, fetched = download or DownloadConfig(), []
    if source == "kaggle" or in_storage(source):
        _protect_files_of_user(paths.raw, in_place=False)  # before the download, not after
    if source == "sample":
        names = tuple(sorted(GENRE_FILES.values()))
        write = partial(write_sample, n_movies=sample.n_movies, seed=seed)
        origin = Source("sample", "sample", names, (), write, {**config_dict(sample), "seed": seed})
    elif source == "kaggle":
        fetched = [fetch_kaggle_archive(paths, config)]
        origin = _zip("kaggle", fetched[0].path, is_new=fetched[0].is_new)
    elif in_storage(source):
        path, fetched = fetch_objects(paths, source, config)
        copy = _folder(path, paths.raw) if path.is_dir() else _zip("zip", path)
        origin = replace(copy, kind="s3", label=source)
    else:
        origin = _local_source(source, paths.raw)
    _protect_files_of_user(paths.raw, in_place=not origin.names)
    named, code = {"source": origin.kind, "label": origin.label}, (Path(__file__), WORDS_FILE)
    packages = ("numpy",) if source == "sample" else ()
    stage = Stage(STAGE, paths.raw, origin.names, origin.inputs, {**named, **origin.config}, code, packages)

    def build(unfinished: Path) -> dict[str, Any]:
        counts = origin.write(unfinished) or {}
        if origin.names:
            _replace_own_files(stage, unfinished)
        files = [unfinished / name for name in origin.names] or list(origin.inputs)
        size = sum(path.stat().st_size for path in files)
        return {**named, "files": len(files), "bytes": size, **counts}

    result = run_stage(stage, build)
    return replace(result, counts={**result.counts, "download": summarise(fetched)}) if fetched else result


def check_source(paths: DataPaths, source: str) -> None:
    """Raise SourceError if a source on this machine does not exist or has another form; others are checked later."""
    if source not in ("sample", "kaggle") and not in_storage(source):
        _local_source(source, paths.raw)


def _local_source(source: str, raw: Path) -> Source:
    path = Path(source).expanduser()
    try:
        if source and path.is_dir():  # Path("") is the current folder
            return _folder(path, raw)
    except OSError as error:
        shown = error.filename or path
        raise SourceError(f"{shown} cannot be read: {error.strerror}. Check its permissions.") from error
    if path.suffix.lower() in (".csv", ".parquet") and path.is_file():
        raise SourceError(
            f"{path} is a single file. Pass its folder: `--source {path.parent}`; or, if it is your own table, "
            "describe its columns as in docs/own-data.md."
        )
    if path.is_file() and (path.suffix.lower() == ".zip" or is_zipfile(path)):
        return _zip("zip", path)
    expected = (
        f"Expected `sample`, `kaggle`, a folder of per-genre CSVs, or a zip of them (from {DATASET_PAGE}), both also "
        "as s3://...; or a table of your own in .csv or .parquet, see docs/own-data.md."
    )
    if path.is_file():
        raise SourceError(f"{path} is not a folder, zip or table. {expected}")
    raise SourceError(f"There is no source {source!r}. {expected} Relative paths start from {Path.cwd()}.")


def _zip(kind: str, path: Path, *, is_new: bool = False) -> Source:
    try:
        names = tuple(sorted(list_archive(path)))
    except SourceError:
        if is_new:  # the next run fetches another
            path.unlink()
        raise
    return Source(kind, path.name, names, (path,), partial(unpack_archive, path))


def _folder(folder: Path, raw: Path) -> Source:
    in_place = raw.is_dir() and folder.samefile(raw)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    if not files:
        held = [*sorted(folder.glob("*.zip")), *sorted({path.parent for path in folder.glob("*/*.csv")})]
        hint = f"Pass what it holds: {held[0]}." if held else "Expected one CSV per genre, such as action.csv."
        raise SourceError(f"There is no *.csv in the folder {folder}. {hint}")
    by_name = {f"{path.stem}.csv": path for path in files}
    for path in files:
        check_header(path, str(path))
        if by_name[f"{path.stem}.csv"] != path or (in_place and path.suffix != ".csv"):
            raise SourceError(f"{path} would be taken as {path.stem}.csv. Give it another name that ends in .csv.")

    def copy(target: Path) -> None:
        for name, path in by_name.items():
            shutil.copyfile(path, target / name)

    kind, names = ("in place", ()) if in_place else ("folder", tuple(by_name))
    return Source(kind, folder.resolve().name, names, tuple(files), (lambda _: None) if in_place else copy)


def _protect_files_of_user(raw: Path, *, in_place: bool) -> None:
    ours, theirs = _divide_by_owner(raw)
    if theirs and not in_place:
        raise SourceError(
            f"{raw} holds CSVs that genreflow did not write or that were changed since ({_some(theirs)}), and they are "
            f"not overwritten. Use them with `--source {raw}`, move them to another folder, or set GENREFLOW_DATA_DIR "
            "to another folder."
        )
    if theirs and ours:
        raise SourceError(
            f"{raw} holds CSVs of an earlier source ({_some(ours)}) next to yours ({_some(theirs)}). Remove the "
            "former, or move yours to another folder and pass that."
        )


def _divide_by_owner(folder: Path) -> tuple[list[str], list[str]]:
    """Return the sorted names of the CSVs in the folder: those that genreflow wrote, and the user's."""
    record = read_record(folder / RECORD, "all files next to it are treated as the user's")
    names = [path.name for path in sorted(folder.glob("*.csv")) if path.is_file()]
    ours = [name for name in names if name in record and hash_file(folder / name) in record[name]]
    return ours, [name for name in names if name not in ours]


def _replace_own_files(stage: Stage, unfinished: Path) -> None:
    """Record the new files and remove our outdated ones, first the sidecar, so that it never describes a mix."""
    ours, _ = _divide_by_owner(stage.folder)
    record = {name: {hash_file(stage.folder / name)} for name in ours}
    for name in stage.outputs:
        record.setdefault(name, set()).add(hash_file(unfinished / name))
    text = json.dumps({name: sorted(hashes) for name, hashes in sorted(record.items())}, ensure_ascii=False, indent=1)
    write_atomically(stage.folder / RECORD, text + "\n")
    stage.sidecar.unlink(missing_ok=True)
    for name in set(ours).difference(stage.outputs):
        logger.info("%s: removed %s of the previous source", stage.name, name)
        (stage.folder / name).unlink()


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def list_archive(path: Path) -> dict[str, str]:
    """Return the CSVs of an archive: the name of each file to write, and its name inside. Other entries are ignored.

    `zipfile` checks sums and never leaves the target folder, but it silently drops `../`, lets the later of two equal
    names win, and does not stop a zip bomb: all of that is refused here, by a SourceError, before anything is written.
    """
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except DAMAGED as error:
        raise SourceError(f"{path} is not a zip file, or is damaged ({error}). Download it again.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
    if (count := len(entries)) > MAX_ENTRIES:
        raise SourceError(f"{path} has {count:,} entries, more than {MAX_ENTRIES:,}: this is not a set of listings.")
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
