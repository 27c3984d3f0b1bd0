"""The labels of a user's table, in whatever form. Owns the three forms and which labels can be told."""

from pathlib import Path
from typing import Final

import polars as pl

from tasks.clean.ledger import Ledger
from tasks.clean.table.config import TableConfig
from tasks.errors import DataError

MAX_LABELS: Final = 200  # beyond, neither pictures nor decision rules say anything
MAX_CHARACTERS: Final = 100  # of a label, which is in the names of metrics
_SEPARATES: Final = ",="  # labels in outputs and decision rules
_YES: Final = ("1", "1.0", "true")
_NO: Final = ("0", "0.0", "false", "")


def add_labels(rows: pl.DataFrame, table: TableConfig, path: Path) -> pl.DataFrame:
    """Replace the columns of labels by `genres`, sorted lists of different labels, perhaps empty.

    One column holds texts, in which labels are separated, or lists of labels; several hold 0 or 1 (also true, false
    or nothing) and are each a label. Labels are texts, numbers too; spaces around them do not count.

    Raises:
        DataError: a cell is neither 0 nor 1, or a label holds a comma or an equals sign or is endless.
    """
    if len(table.labels) > 1:
        labels = _of_indicators(rows, table, path)
    elif rows.schema[table.labels[0]] == pl.String:
        labels = rows[table.labels[0]].str.split(table.separator)
    else:
        labels = rows[table.labels[0]]
    tidy = pl.element().str.replace_all(r"\s+", " ").str.strip_chars(" ")
    labels = labels.list.eval(tidy.filter(tidy != "").unique().sort()).alias("genres")
    _check(rows, labels, table, path)
    return rows.drop(table.labels).hstack([labels])


def _of_indicators(rows: pl.DataFrame, table: TableConfig, path: Path) -> pl.Series:
    cells = rows.select(pl.col(table.labels).str.strip_chars().str.to_lowercase())
    for name in table.labels:
        odd = rows.filter(~cells[name].is_in([*_YES, *_NO]))
        if odd.height:
            value, row_id = odd[name][0], odd[table.id][0]
            raise DataError(
                f"{path}: the column {name} of the row {row_id} holds {value[:40]!r}. Several columns of labels hold 0 "
                "or 1 each; for labels in a text name that one column as `table.labels`."
            )
    named = [pl.when(pl.col(name).is_in(_YES)).then(pl.lit(name)) for name in table.labels]
    return cells.select(pl.concat_list(named).list.drop_nulls()).to_series()


def _check(rows: pl.DataFrame, labels: pl.Series, table: TableConfig, path: Path) -> None:
    different = labels.explode().unique().drop_nulls().sort()
    odd = different.filter(different.str.contains(f"[{_SEPARATES}]") | (different.str.len_chars() > MAX_CHARACTERS))
    if odd.len():
        label = odd[0]
        row_id = rows.filter(labels.list.contains(label))[table.id][0]
        raise DataError(
            f"{path}: the label {label[:60]!r} of the row {row_id} holds a comma or an equals sign, which separate "
            f"labels elsewhere, or more than {MAX_CHARACTERS} characters. Rename it; or is `table.separator` another "
            f"one than {table.separator!r}?"
        )


def drop_rare_labels(movies: pl.DataFrame, table: TableConfig, path: Path, ledger: Ledger) -> pl.DataFrame:
    """Take labels of fewer than `min_rows` rows away, and the rows that had no others; count both.

    Raises:
        DataError: fewer than two labels are left, or more than `MAX_LABELS`.
    """
    counts = movies.select(pl.col("genres").explode()).to_series().value_counts().sort("genres")
    kept = counts.filter(pl.col("count") >= table.min_rows)["genres"]
    for label, count in counts.filter(pl.col("count") < table.min_rows).iter_rows():
        ledger.counts[f"rare_label/{label}"] = count
    if kept.len() > MAX_LABELS:
        enough = counts["count"].sort(descending=True)[MAX_LABELS] + 1
        raise DataError(
            f"{path} has {kept.len():,} labels of at least {table.min_rows} rows, and {MAX_LABELS} are the most that "
            f"can be told. Leave rare ones out, as with --table.min-rows {enough}, or name another column of labels."
        )
    if kept.len() < 2:
        found = ", ".join(f"{label} ({count})" for label, count in counts.head(20).iter_rows())
        raise DataError(
            f"{path}: {kept.len()} label has at least {table.min_rows} rows, of {counts.height} in all ({found}), and "
            f"a classifier tells at least two. Is {table.separator!r} what separates them? Or lower --table.min-rows."
        )
    left = movies.with_columns(pl.col("genres").list.set_intersection(kept.to_list()).list.sort())
    has_label = left["genres"].list.len() > 0
    ledger.counts["dropped/only_rare_labels"] = int((~has_label).sum())
    return left.filter(has_label)
