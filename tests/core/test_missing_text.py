import polars as pl
import pytest

from tasks.core.schema import worth_of


@pytest.mark.parametrize(
    ("description", "worth"),
    [
        (None, "nothing"),
        ("", "nothing"),
        (" \n\x00\u200b", "nothing"),
        ("N/A", "nothing"),
        ("Add a Plot", "nothing"),
        ("add a plot »", "nothing"),
        ("Plot kept under wraps.", "nothing"),
        ("Plot details are unknown", "nothing"),
        ("In development.", "nothing"),
        ("Coming soon", "nothing"),
        ("TBA", "nothing"),
        ("The plot is unavailable...", "nothing"),
        ("A mill and its ... See full summary »", "truncated"),
        ("A mill and its… see full synopsis >> ", "truncated"),
        ("A mill and its...", "truncated"),
        ('He says: "And then…"', "truncated"),
        ("A mill and its miller.", "whole"),
        ("The batba dances. Nana comes, soon.", "whole"),
        ("See full summary » is what the sign says.", "whole"),
        ("N/A is his name.", "whole"),
    ],
)
def test_worth(description, worth):
    frame = pl.DataFrame({"text": [description]}, schema={"text": pl.String})
    assert frame.select(worth_of(pl.col("text"))).item() == worth
