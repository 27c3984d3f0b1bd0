"""The errors that a user can mend. Owns their types; knows nothing about where they are raised.

Every message names the file (and the row, where there is one), says what was expected, and what to do.
A command prints the message alone; anything that is not a `GenreflowError` is a defect and keeps its traceback.
"""


class GenreflowError(Exception):
    """The root of all errors whose message is meant for the user."""

    can_heal = False  # whether the same work may succeed when it is simply tried again


class SourceError(GenreflowError):
    """The raw input is missing, unreadable or not in the expected form."""


class DataError(GenreflowError):
    """A stage got data that it cannot work with: an empty table, a missing column, a damaged file."""


class ConfigError(GenreflowError):
    """A choice that does not exist: an unknown preset, model, rule or runner."""


class ModelError(GenreflowError):
    """A model cannot be trained, stored or loaded."""


class WorkerError(GenreflowError):
    """A worker process died before its work was done."""

    can_heal = True


class StorageError(GenreflowError):
    """Object storage refuses, does not answer, or lacks what was asked for."""


class StorageAwayError(StorageError):
    """Object storage cannot be reached, or is too busy to answer."""

    can_heal = True


class TrackingError(GenreflowError):
    """The MLflow store is away or busy."""


class CrawlBusyError(GenreflowError):
    """Another crawl writes to the same journal."""


class CrawlBlockedError(GenreflowError):
    """A source of plots refuses us, and something has to be changed first."""


class DownloadError(SourceError):
    """A file cannot be fetched, or what came is not the file that was expected."""
