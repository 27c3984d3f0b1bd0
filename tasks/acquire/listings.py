"""The acquire stage: raw listings from any source, copied to `data/raw` unchanged or used in place."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from zipfile import is_zipfile

from tasks.acquire.archive import check_header, list_archive, unpack_archive
from tasks.acquire.config import DownloadConfig, SampleConfig
from tasks.acquire.download import DATASET_PAGE, fetch_kaggle_archive, fetch_objects, read_record, summarise
from tasks.acquire.sample import GENRE_FILES, WORDS_FILE, write_sample
from tasks.core.errors import SourceError
from tasks.core.files import hash_file
from tasks.core.settings import DataPaths
from tasks.core.storage import in_storage
from tasks.stage import Stage, StageResult, config_dict, run_stage, write_atomically

logger = logging.getLogger(__name__)

STAGE: Final = "acquire"
RECORD: Final = "acquire.owned.json"  # hashes of the files in `data/raw` that genreflow wrote, by name


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
    both also as `s3://bucket/folder/` and `s3://bucket/name.zip`. For object storage only `max_bytes` of `download`
    counts.

    The user's files are never overwritten or removed. Ours are those on record by name and hash; the record is written
    before the files, so that a killed run does not leave files that look like the user's.

    Counts: `source`, `label`, `files`, `bytes`, and for the sample also `movies`, `rows`, `rows_by_file`, `flaws`; for
    `kaggle` and object storage also `download`, those of `summarise`, which are not part of the stage's record.

    Raises:
        SourceError: the source does not exist or is not in the expected form, or `data/raw` holds CSVs of the user.
        DownloadError, StorageError, DataError, ConfigError: as `fetch_kaggle_archive` and `fetch_objects`.
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
        origin = _zip("kaggle", fetched[0].path)
    elif in_storage(source):
        path, fetched = fetch_objects(paths, source, config)
        copy = _folder(path, paths.raw) if path.is_dir() else _zip("zip", path)
        origin = replace(copy, kind="s3", label=source)
    else:
        origin = _local_source(source, paths.raw)
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
        counts = origin.write(unfinished) or {}
        if origin.names:
            _replace_own_files(stage, unfinished)
        files = [unfinished / name for name in origin.names] or list(origin.inputs)
        size = sum(path.stat().st_size for path in files)
        return {"source": origin.kind, "label": origin.label, "files": len(files), "bytes": size, **counts}

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
        raise SourceError(
            f"{error.filename or path} cannot be read: {error.strerror}. Check its permissions."
        ) from error
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


def _zip(kind: str, path: Path) -> Source:
    return Source(kind, path.name, tuple(sorted(list_archive(path))), (path,), partial(unpack_archive, path))


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
