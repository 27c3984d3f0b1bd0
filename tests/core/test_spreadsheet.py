import csv
import io

import polars as pl
import pytest

from tasks.core.page import safe_cell, write_safe_csv


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\x1f=1", "\u200b=1", "\uff1d1", "\u00a0=1"],
)
def test_what_a_spreadsheet_would_run_is_text(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", " ", "Se7en", "a=b", "'71", "10 - 1", "<b>|</b>"])
def test_other_text_stays(text):
    assert safe_cell(text) == text


def test_a_table_keeps_its_numbers_and_what_is_missing(tmp_path):
    table = pl.DataFrame({"name": ["=A1", 'b,"c"', None], "difference": [-0.5, 1 / 3, None], "n": [-1, 0, None]})
    write_safe_csv(table, tmp_path / "table.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "table.csv").read_text(encoding="utf-8"))))
    assert rows[1:] == [["'=A1", "-0.500000", "-1"], ['b,"c"', "0.333333", "0"], ["", "", ""]]
