from tasks.core.page import escape_markdown, markdown_table


def test_no_name_is_markup():
    assert escape_markdown("a|b <b>&\n`c` [d](e) *f* __g__ ~h~ \\") == (
        "a\\|b &lt;b&gt;&amp; \\`c\\` \\[d\\](e) \\*f\\* \\_\\_g\\_\\_ \\~h\\~ \\\\"
    )


def test_numbers_are_aligned_to_the_right():
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"
