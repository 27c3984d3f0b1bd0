import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.acquire.crawl.journal import Answer, judge_plots, make_fit


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_text_can_be_written_and_read_again(text):
    fit = make_fit(text)
    assert fit.encode().decode() == fit
    assert "\x00" not in fit
    assert "\r" not in fit
    assert make_fit(fit) == fit


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(st.text(st.characters(codec=None)), max_size=3)))
def test_each_id_gets_one_answer_whatever_the_texts(plots):
    answers = judge_plots(plots, ["a", "b"])
    assert answers.keys() == {"a", "b"}
    for movie_id, answer in answers.items():
        assert (answer.description is not None) == (answer.state in ("ok", "truncated"))
        assert (answer.state == "not_found") == (movie_id not in plots)


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        ([], Answer("no_plot")),
        (["", " \x00\u200b "], Answer("no_plot")),
        (["N/A"], Answer("no_plot")),
        (["Add a Plot"], Answer("no_plot")),
        (["Plot kept under wraps."], Answer("no_plot")),
        (["A mill..."], Answer("truncated", "A mill...")),
        (["A mill&hellip;"], Answer("truncated", "A mill&hellip;")),
        (["A mill... See full summary »"], Answer("truncated", "A mill... See full summary »")),
        (["A mill…", "A mill and a …", "Add a Plot"], Answer("truncated", "A mill and a …")),
        (["A mill...", "A mill by the sea.", "Another."], Answer("ok", "A mill by the sea.")),
        ([" Two\r\nlines.\t"], Answer("ok", "Two\nlines.")),
    ],
)
def test_the_first_whole_text_is_the_plot(texts, answer):
    assert judge_plots({"a": texts}, ["a"]) == {"a": answer}


def test_a_text_that_no_csv_reader_takes_is_bad():
    assert judge_plots({"a": ["x" * 30_001, "Add a Plot"]}, ["a"])["a"].state == "bad_payload"
    assert judge_plots({"a": ["x" * 30_001, "A mill."]}, ["a"])["a"] == Answer("ok", "A mill.")


def test_details_are_short_and_fit():
    assert Answer("failed", detail="\ud800" + "x" * 500).detail == "x" * 200
