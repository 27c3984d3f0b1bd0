"""The listings as a zip from Kaggle's public API. Owns its address, the credentials, and what its refusals mean.

Nothing here was tried against the real service; the tests talk to a local server.

Source: https://www.kaggle.com/docs/api; the download address answers with a redirect to storage.
"""

import json
import logging
from pathlib import Path
from typing import Final

import httpx

from tasks.acquire.archive import list_archive
from tasks.acquire.download import Downloader, Fetched, Request
from tasks.acquire.manifest import Entry, Lock, find_entry, obtain
from tasks.acquire.whole_file import Expected
from tasks.paths import DataPaths
from tasks.settings import Settings, settings
from tasks.stage import remove_unfinished

logger = logging.getLogger(__name__)

ENTRY: Final = "listings"


def fetch_archive(paths: DataPaths, downloader: Downloader) -> Fetched:
    """Return the zip of listings in the download folder, fetched or continued if it is not there.

    The address of the storage is never kept: each attempt asks the API anew, since that address is signed and expires.

    Raises:
        DownloadError: Kaggle refuses, the transfer failed, or the file is not the one on record.
        SourceError: it is no archive of listings, or the record of downloads is damaged.
    """
    entry = find_entry(ENTRY, "kaggle")
    target = paths.download / entry.file
    remove_unfinished(paths.download)

    def fetch(expected: Expected) -> Fetched:
        auth = read_credentials(settings())
        refusals = _refusals(entry, target, has_credentials=auth is not None)
        address = (
            f"{settings().kaggle_url}/api/v1/datasets/download/{entry.address}?datasetVersionNumber={entry.version}"
        )
        return downloader.fetch(Request(address, entry.file, expected, auth, refusals), target)

    return obtain(entry, target, Lock(paths.download_lock), fetch, list_archive)


def read_credentials(given: Settings) -> httpx.BasicAuth | None:
    """Return the account's credentials: both environment variables, else `kaggle.json`, else None.

    The data set is public and needs none. What is half there or unreadable is left out with a warning.
    """
    if given.kaggle_username and given.kaggle_key:
        return httpx.BasicAuth(given.kaggle_username, given.kaggle_key.get_secret_value())
    if given.kaggle_username or given.kaggle_key:
        logger.warning("kaggle: of KAGGLE_USERNAME and KAGGLE_KEY only one is set; it is not used")
    path = given.kaggle_config_dir.expanduser() / "kaggle.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return httpx.BasicAuth(str(content["username"]), str(content["key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        # The kind of the error alone: its text may quote the file.
        logger.warning("kaggle: %s cannot be used (%s); going on without an account", path, type(error).__name__)
        return None


def page(entry: Entry) -> str:
    """Return the address of a data set for a browser."""
    return f"https://www.kaggle.com/datasets/{entry.address}/versions/{entry.version}"


def _refusals(entry: Entry, target: Path, *, has_credentials: bool) -> dict[int, str]:
    """Return what to say for each status that Kaggle refuses with, each with its remedy."""
    by_hand = f"Or download it from {page(entry)} and put it at {target}."
    account = "KAGGLE_USERNAME and KAGGLE_KEY (or kaggle.json)"
    unknown = f"check or remove {account}" if has_credentials else f"set {account}: the set wants an account now"
    return {
        401: f"Kaggle does not know who asks for {entry.address} (401): {unknown}. {by_hand}",
        403: (
            f"Kaggle does not let {'this account' if has_credentials else 'just anybody'} have {entry.address} (403): "
            f"it is private, or its terms must be accepted first. Open {page(entry)} with an account, accept them, and "
            f"set {account}. {by_hand}"
        ),
        404: (
            f"Kaggle has no version {entry.version} of {entry.address} (404). Look at {page(entry)}, and correct the "
            f"entry {entry.name} of the manifest. {by_hand}"
        ),
        429: (
            f"Kaggle has had too many requests from here (429). Wait, or download it from {page(entry)} and put it at "
            f"{target}"
        ),
    }
