"""Highlighted text: escaped whole, highlighted where and as strongly as asked."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.page import highlight_html, share_of, signed


def test_colour_follows_sign_and_strength():
    html = highlight_html("ghosts sing songs", [(12, 17, -1.0), (0, 6, 4.0), (7, 11, 2.0)], 2.0)
    assert re.findall(r'class="(\w+)" style="--share:([\d.]+)" title="(.*?)">(\w+)<', html) == [
        ("raises", "1.00", "+4.00", "ghosts"),
        ("raises", "1.00", "+2.00", "sing"),
        ("lowers", "0.50", "−1.00", "songs"),
    ]


def test_what_cannot_be_seen_is_left_plain():
    assert highlight_html("ghosts", [(0, 6, 0.01)], 1.0) == "ghosts"
    assert highlight_html("ghosts", [(0, 6, 0.0)], 0.0) == "ghosts"


@given(st.text(), st.data())
def test_the_text_is_kept_and_nothing_in_it_is_markup(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    spans = [(start, end, 1.0) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    html = highlight_html(text, spans, 1.0)
    plain = re.sub(r'<span class="raises" style="--share:1\.00" title="\+1\.00">|</span>', "", html)
    assert not set("<>\"'") & set(plain)
    assert unescape(plain) == text


@pytest.mark.parametrize("spans", [[(0, 4, 1.0), (3, 5, 1.0)], [(4, 9, 1.0)], [(-1, 2, 1.0)], [(3, 2, 1.0)]])
def test_spans_that_do_not_fit_are_refused(spans):
    with pytest.raises(ValueError, match="overlaps another or is not inside"):
        highlight_html("ghost", spans, 1.0)


def test_numbers_have_a_sign_unless_they_are_nothing():
    assert [signed(value) for value in (0.126, -0.126, 0.004, -0.004)] == ["+0.13", "−0.13", "0.00", "0.00"]
    assert share_of(-3.0, 2.0) == 1.0
