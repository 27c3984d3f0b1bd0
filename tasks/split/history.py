"""What an earlier run of the split stage decided, so that movies stay where they are when others come or go.

Owns what `splits.parquet` says of its own making and how it is read again; knows no algorithm.
"""

import json
import logging
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import DataError
from tasks.schema import SPLITS
from tasks.split.config import SplitConfig

logger = logging.getLogger(__name__)

# In the file and not in the sidecar: a run that is killed while it publishes leaves one whole file or the other.
_KEY: Final = "genreflow.split"


def write_splits(path: Path, splits: pl.DataFrame, config: SplitConfig, seed: int) -> None:
    """Write `schema.SPLITS` to parquet, with the shares and the seed that made it."""
    splits.write_parquet(path, compression="zstd", metadata={_KEY: json.dumps(_making(config, seed))})


def read_earlier_splits(path: Path, config: SplitConfig, seed: int) -> pl.DataFrame:
    """Return what an earlier run with the same shares and seed wrote (`schema.SPLITS`); without rows if none did.

    It has no rows either where `config.keep_sides` is false.

    Raises:
        DataError: the file is damaged, so nobody knows which movies a model has been tested on.
    """
    nothing = pl.DataFrame(schema=SPLITS)
    if not config.keep_sides or not path.is_file():
        return nothing
    try:
        recorded = (pq.read_metadata(path).metadata or {}).get(_KEY.encode())
        earlier = pl.read_parquet(path)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}), so movies cannot stay where they were: bring it back, or delete it to "
            "divide all movies afresh"
        ) from error
    if recorded != json.dumps(_making(config, seed)).encode() or earlier.schema != SPLITS:
        by = recorded.decode() if recorded else "another version"
        logger.warning("split: all movies are divided afresh, not kept where %s has them, made by %s", path, by)
        return nothing
    return earlier


def _making(config: SplitConfig, seed: int) -> dict[str, Any]:
    return {**config.model_dump(mode="json", exclude={"keep_sides"}), "seed": seed}
