import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.clean import rules
from tasks.core import schema


def cut(pattern: str, value: str, left: str = "") -> str:
    result = pl.Series([value]).str.replace(pattern, left)[0]
    assert isinstance(result, str)
    return result


def without_signature(value: str) -> str:
    return cut(rules.SIGNATURE, value, left="${1}")


@pytest.mark.parametrize(
    "tail",
    [
        "—Ann Other",
        " —Ann Other",
        " — Ann Other ",
        "\n—ann_other_77",
        "—ann.other@example.org",
        "—A. B. C. Other",
        "—A.B. Other Jr.",
        "—Ann Other <ann@example.org>",
        "—Ann Other {ann@example.org}",
        "—<ann@example.org>",
        "—Ann de la Mer and Bo van Zee",
        "—Ann Other, Rio de Janeiro, Brazil",
        "—Östen Ångström",
        "—山田太郎",
        "—Studio 54",
        "—O'Neill-Smith",
    ],
)
@pytest.mark.parametrize(
    "end", ["The end.", "The end!", 'She says: "Why?"', "Over (or not).", "And then…", "He\u2019s \u201cback.\u201d"]
)
def test_signatures_are_cut(end: str, tail: str) -> None:
    assert without_signature(end + tail).rstrip() == end


@pytest.mark.parametrize(
    "whole",
    [
        "A sailor — and her ship — sail away.",
        "A sailor sails away — Ann",
        "She was lost —Ann Other",
        "She left. — And then everything changed for the whole family in the old house.",
        "She left. —Then Everything Changed.",
        "She left. —he did not",
        "She left. —Ann Other said so, and all of the people believed it at once",
        "She left. —",
        "One — two. Three",
        "First line.\n— a list entry of several words, nothing else",
    ],
)
def test_em_dashes_in_sentences_are_no_signatures(whole: str) -> None:
    assert without_signature(whole) == whole


def test_a_description_may_be_nothing_but_a_signature() -> None:
    assert without_signature("—Anonymous") == ""


@pytest.mark.parametrize(
    "tail",
    [
        "...                See full summary\u00a0»",
        "... See full synopsis »",
        "…See full summary",
        " See Full Summary >>",
        "....\nsee full summary » ",
    ],
)
def test_the_sites_tail_is_cut_however_it_is_spaced(tail: str) -> None:
    assert cut(schema.ANY_TAIL, "A sailor looks for" + tail) == "A sailor looks for"


@pytest.mark.parametrize("whole", ["See full summary » is a film.", "A summary in full", "He can see full synopsises"])
def test_the_sites_words_elsewhere_are_text(whole: str) -> None:
    assert cut(schema.ANY_TAIL, whole) == whole


@pytest.mark.parametrize("end", ["...", "…", "....", '..."', "…\u201d ", "...)"])
def test_an_ellipsis_at_the_end(end: str) -> None:
    assert pl.Series(["Until one day" + end]).str.contains(schema.ELLIPSIS)[0]


@pytest.mark.parametrize("end", [".", "..", "... no", "?"])
def test_no_ellipsis_at_the_end(end: str) -> None:
    assert not pl.Series(["Until one day" + end]).str.contains(schema.ELLIPSIS)[0]


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("&quot;Hi&quot; &amp; bye", '"Hi" & bye'),
        ("&amp;quot;Hi&amp;quot;", '"Hi"'),
        ("&amp;amp;", "&"),
        ("it&#39;s &#x2014; it&#X27;s", "it's — it's"),
        ("&nbsp;&eacute;&mdash;", "\u00a0é—"),
        ("&nosuch; &amp;nosuch; AT&T; R&D", "&nosuch; &nosuch; AT&T; R&D"),
        ("&#55357;", "\ufffd"),
        ("& &; &#; &#x;", "& &; &#; &#x;"),
        ("nothing", "nothing"),
    ],
)
def test_entities(escaped: str, plain: str) -> None:
    assert rules.unescape_entities(pl.Series([escaped, "other"])).to_list() == [plain, "other"]


@given(st.lists(st.lists(st.sampled_from(["&", "amp;", "lt;", "#65;", "a", ";", " "])).map("".join), max_size=4))
def test_each_text_is_unescaped_by_itself(texts: list[str]) -> None:
    together = rules.unescape_entities(pl.Series(texts, dtype=pl.String)).to_list()
    assert together == [rules.unescape_entities(pl.Series([value])).to_list()[0] for value in texts]


@given(st.text(st.sampled_from("a \t\n\r\x0b\x1c\x1f\x85\u00a0\u2003\u2028\u3000b")))
def test_spaces_are_pythons(value: str) -> None:
    tidied = pl.DataFrame({"t": [value]}).select(rules.tidy_spaces(pl.col("t"))).item()
    assert tidied == " ".join(value.split())
    assert pl.Series([value]).str.contains(rules.UNTIDY_SPACE)[0] == (tidied != value)
    assert pl.Series([value]).str.strip_chars(rules.SPACES)[0] == value.strip()


@given(st.text(max_size=20))
def test_visible_is_what_tidying_leaves(value: str) -> None:
    frame = pl.DataFrame({"t": [value]})
    left = frame.select(rules.tidy_spaces(pl.col("t").str.replace_all(schema.INVISIBLE, ""))).item()
    assert frame["t"].str.contains(schema.VISIBLE)[0] == bool(left)


def test_joiners_that_spell_words_stay() -> None:
    word = "\u0645\u06cc\u200c\u062e\u0648"
    assert pl.Series([word + "\u200b\ufeff\x81"]).str.replace_all(schema.INVISIBLE, "")[0] == word
