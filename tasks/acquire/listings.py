"""Raw listings brought to `data/raw`, whatever their source. Owns what a source may be and the acquire stage.

Raw data is immutable: files are copied byte by byte, or used where they are, and nothing is cleaned here.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from zipfile import is_zipfile

from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.download import Downloader
from tasks.acquire.sample import GENRE_FILES, write_sample
from tasks.acquire.sample_text import WORDS_FILE
from tasks.acquire.sources import check_header, fetch_archive, fetch_objects, list_archive, summarise, unpack_archive
from tasks.core.errors import SourceError
from tasks.core.files import hash_file
from tasks.core.settings import DataPaths
from tasks.core.storage import in_storage
from tasks.stage import Stage, StageResult, config_dict, run_stage, write_atomically

# Whose the files in `data/raw` are. Owns the record of what genreflow put there; knows no source.
#
# Files of the user are never overwritten or removed. A file is ours if its name and the hash of its content are on the
# record; the record is written before the files, so that a run killed in between does not take its own for the user's.


logger = logging.getLogger(__name__)

RECORD: Final = "acquire.owned.json"


def divide_by_owner(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the CSVs in the folder, sorted: those that genreflow wrote, and those that it did not."""
    record = _read_record(folder)
    ours: list[str] = []
    theirs: list[str] = []
    for path in sorted(filter(Path.is_file, folder.glob("*.csv"))):
        (ours if path.name in record and hash_file(path) in record[path.name] else theirs).append(path.name)
    return ours, theirs


def make_room(stage: Stage, unfinished: Path) -> None:
    """Put the new files on the record, then remove those of ours that the new source does not have.

    Called when all new files are written under `unfinished`. The sidecar goes first: nothing vouches for a mix.
    """
    ours, _ = divide_by_owner(stage.folder)
    record = {name: {hash_file(stage.folder / name)} for name in ours}
    for name in stage.outputs:
        record.setdefault(name, set()).add(hash_file(unfinished / name))
    text = json.dumps({name: sorted(hashes) for name, hashes in sorted(record.items())}, ensure_ascii=False, indent=1)
    write_atomically(stage.folder / RECORD, text + "\n")
    stage.sidecar.unlink(missing_ok=True)
    for name in set(ours).difference(stage.outputs):
        logger.info("%s: %s is of the previous source and is removed", stage.name, name)
        (stage.folder / name).unlink()


def _read_record(folder: Path) -> dict[str, list[str]]:
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        logger.warning("%s cannot be read (%s): all files beside it are taken for the user's", path, error)
        return {}
    return record if isinstance(record, dict) else {}


STAGE: Final = "acquire"
FETCHED: Final = ("sample", "kaggle")  # sources that are no path
DATASET_PAGE: Final = "https://www.kaggle.com/datasets/rajugc/imdb-movies-dataset-based-on-genre"

Write = Callable[[Path], Mapping[str, Any]]  # writes all files into a folder, returns counts


@dataclass(frozen=True)
class Source:
    """Where listings come from: what it is called, which files it gives, what they are made from, and how."""

    kind: str
    label: str
    names: tuple[str, ...]  # of the files to write; none if they are used in place
    inputs: tuple[Path, ...]
    config: Mapping[str, Any]
    write: Write
    downloads: Mapping[str, int] = field(default_factory=dict)  # how many files came how, just now


def acquire_listings(
    paths: DataPaths, source: str, sample: SampleConfig, seed: int, download: DownloadConfig | None = None
) -> StageResult:
    """Bring `data/raw/*.csv` up to date from a source, so that they hold its listings and no others.

    Args:
        paths: the data folder.
        source: `sample`, `kaggle`, a folder of per-genre CSVs (`data/raw` itself is used in place), or a zip of them;
            both also as `s3://bucket/folder/` and `s3://bucket/name.zip`.
        sample: the size of the embedded sample.
        seed: of the embedded sample; other sources ignore both.
        download: patience of the download from Kaggle; of object storage its `max_bytes` alone.

    Returns:
        Counts: `source`, `label`, `files`, `bytes`, and for the sample also `movies`, `rows`, `rows_by_file`, `flaws`.
        For `kaggle` and object storage also `download`: how many files were `fetched`, `resumed` and `skipped` by this
        call, and their `bytes`; that is not part of the stage's record, which says the same whichever way they came.

    Raises:
        DownloadError: Kaggle refuses, or the transfer failed; a later call continues it.
        StorageError, DataError, ConfigError: as `fetch_objects`.
        SourceError: the source does not exist or is not in the expected form, or `data/raw` holds CSVs of the user.
    """
    if source == "sample":
        origin = _embedded_sample(sample, seed)
    elif source == "kaggle":
        origin = _kaggle(paths, download or DownloadConfig())
    elif in_storage(source):
        origin = _objects(paths, source, download or DownloadConfig())
    else:
        origin = _find_source(source, paths.raw)
    _protect_files_of_user(paths.raw, in_place=not origin.names)
    stage = Stage(
        name=STAGE,
        folder=paths.raw,
        outputs=origin.names,
        inputs=origin.inputs,
        config={"source": origin.kind, "label": origin.label, **origin.config},
        code=(Path(__file__), WORDS_FILE),
        packages=("numpy",) if source == "sample" else (),
    )

    def build(unfinished: Path) -> dict[str, Any]:
        counts = origin.write(unfinished)
        files = [unfinished / name for name in origin.names] or list(origin.inputs)
        if origin.names:
            make_room(stage, unfinished)
        size = sum(path.stat().st_size for path in files)
        return {"source": origin.kind, "label": origin.label, "files": len(files), "bytes": size, **counts}

    result = run_stage(stage, build)
    if not origin.downloads:
        return result
    return replace(result, counts={**result.counts, "download": dict(origin.downloads)})


def check_source(paths: DataPaths, source: str) -> None:
    """Refuse a source on this machine that does not exist or has another form; others are seen when they are fetched.

    Raises:
        SourceError: as `acquire_listings`.
    """
    if source not in FETCHED and not in_storage(source):
        _find_source(source, paths.raw)


def _embedded_sample(sample: SampleConfig, seed: int) -> Source:
    def write(folder: Path) -> dict[str, Any]:
        return write_sample(folder, sample.n_movies, seed)

    names = tuple(sorted(GENRE_FILES.values()))
    return Source("sample", "sample", names, (), {**config_dict(sample), "seed": seed}, write)


def _find_source(source: str, raw: Path) -> Source:
    """Return the source that a path names."""
    path = Path(source).expanduser()
    try:
        if source and path.is_dir():  # the path of nothing would be the current folder
            return _folder(path, raw)
    except OSError as error:
        raise SourceError(
            f"{error.filename or path} cannot be read: {error.strerror}. Check its permissions."
        ) from error
    if path.suffix.lower() in (".csv", ".parquet") and path.is_file():
        raise SourceError(
            f"{path} is a single file. Pass its folder: `--source {path.parent}`; or, if it is a table of your own, "
            "say what its columns are, as docs/own-data.md tells."
        )
    if path.is_file() and (path.suffix.lower() == ".zip" or is_zipfile(path)):
        return _zip("zip", path)
    expected = (
        f"Expected is `sample`, `kaggle`, a folder of per-genre CSVs, or a zip of them (from {DATASET_PAGE}), both "
        "also as s3://...; or a table of your own in .csv or .parquet, see docs/own-data.md."
    )
    if path.is_file():
        raise SourceError(f"{path} is no folder, zip or table. {expected}")
    raise SourceError(f"There is no source {source!r}. {expected} Relative paths start from {Path.cwd()}.")


def _kaggle(paths: DataPaths, config: DownloadConfig) -> Source:
    _protect_files_of_user(paths.raw, in_place=False)  # said before the download, not after
    fetched = fetch_archive(paths, Downloader(config))
    return replace(_zip("kaggle", fetched.path), downloads=summarise([fetched]))


def _objects(paths: DataPaths, address: str, config: DownloadConfig) -> Source:
    _protect_files_of_user(paths.raw, in_place=False)  # said before the download, not after
    path, files = fetch_objects(paths, address, config)
    found = _folder(path, paths.raw) if path.is_dir() else _zip("zip", path)
    return replace(found, kind="s3", label=address, downloads=summarise(files))


def _zip(kind: str, path: Path) -> Source:
    def write(folder: Path) -> dict[str, Any]:
        unpack_archive(path, folder)
        return {}

    return Source(kind, path.name, tuple(sorted(list_archive(path))), (path,), {}, write)


def _folder(folder: Path, raw: Path) -> Source:
    in_place = raw.is_dir() and folder.samefile(raw)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    if not files:
        held = [*sorted(folder.glob("*.zip")), *sorted({path.parent for path in folder.glob("*/*.csv")})]
        hint = f"Pass what it holds: {held[0]}." if held else "Expected is one CSV per genre, such as action.csv."
        raise SourceError(f"There is no *.csv in the folder {folder}. {hint}")
    by_name = {f"{path.stem}.csv": path for path in files}
    for path in files:
        check_header(path, str(path))
        if by_name[f"{path.stem}.csv"] != path or (in_place and path.suffix != ".csv"):
            raise SourceError(f"{path} would be taken as {path.stem}.csv. Rename it, to a name of its own in .csv.")

    def write(target: Path) -> dict[str, Any]:
        for name, path in by_name.items():
            shutil.copyfile(path, target / name)
        return {}

    if in_place:
        return Source("in place", folder.resolve().name, (), tuple(files), {}, lambda _: {})
    return Source("folder", folder.resolve().name, tuple(by_name), tuple(files), {}, write)


def _protect_files_of_user(raw: Path, *, in_place: bool) -> None:
    ours, theirs = divide_by_owner(raw)
    if theirs and not in_place:
        raise SourceError(
            f"{raw} holds CSVs that genreflow did not put there or that were changed since ({_some(theirs)}), and they "
            f"are not overwritten. Use them with `--source {raw}`, move them elsewhere, or set GENREFLOW_DATA_DIR to "
            "another folder."
        )
    if theirs and ours:
        raise SourceError(
            f"{raw} holds CSVs of an earlier source ({_some(ours)}) beside yours ({_some(theirs)}). Remove the former, "
            "or move yours to a folder of their own and pass that."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
