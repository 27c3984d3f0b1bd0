from collections.abc import Callable

import pytest

from tasks.acquire import sample_text as text


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (text.plural, "prisoner of war", "prisoners of war"),
        (text.plural, "best man", "best men"),
        (text.plural, "witch", "witches"),
        (text.plural, "spy", "spies"),
        (text.plural, "little boy", "little boys"),
        (text.third_person, "rob a bank", "robs a bank"),
        (text.third_person, "marry for money", "marries for money"),
        (text.third_person, "search for love", "searches for love"),
        (text.gerund, "rob a bank", "robbing a bank"),
        (text.gerund, "make a friend", "making a friend"),
        (text.gerund, "free the hostages", "freeing the hostages"),
        (text.gerund, "see Paris", "seeing Paris"),
        (text.capitalise_first, "at the end", "At the end"),
        (text.capitalise_all, "a letter from the FBI", "A Letter from the FBI"),
        (text.put_dash_inside, "A man comes home late. It rains.", "A man comes—home late. It rains."),
        (text.escape, "Rock and roll and love.", "Rock &amp; roll &amp; love."),
        (text.escape, "It rains.", "It rains&hellip;"),
    ],
)
def test_phrases_are_inflected(function: Callable[[str], str], given: str, expected: str) -> None:
    assert function(given) == expected


def test_the_article_follows_the_sound() -> None:
    forms = [
        text.with_article("a ", "boat"),
        text.with_article("A ", "old boat"),
        text.with_article("a ", "honest man"),
    ]
    assert forms == ["a ", "An ", "an "]


def test_a_plot_is_cut_between_two_words() -> None:
    assert text.cut("word " * 50, " ... more")[-18:] == "word word ... more"
