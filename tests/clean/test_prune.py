import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from tasks.clean.profiles import CleanConfig, build_profile
from tasks.clean.prune import PruneConfig, is_foreign, is_gibberish
from tasks.clean.rules import Ledger

MakeRow = Callable[..., dict[str, str]]
Listing = Callable[..., Path]
Cleaned = Callable[..., tuple[pl.DataFrame, Ledger]]

PLOT = "A ferryman who has never left his river takes seven strangers across on the last night of the year."
ALL = {"min_words": 10, "max_words": 30, "production_phrases": True, "gibberish": True, "not_english": True}
SPANISH = "Un hombre llamado Ivo vuelve a su pueblo y descubre que nada es como antes."
KEYS = "Asdf jklh gfds hjkl qwer poiu trew lkjh zxcv mnbv asdf dfgh jklk qwrt zxcb."


@pytest.mark.parametrize(
    ("description", "rule"),
    [
        ("A ferryman takes seven strangers across on the year's last.", None),
        ("A ferryman takes seven strangers across on the last.", "too_few_words"),
        (" ".join(["word"] * 30), None),
        (" ".join(["word"] * 31), "too_many_words"),
        (f"{PLOT} Directed by Ann Other.", "production_phrase"),
        (f"STARRING Bo Yi: {PLOT}", "production_phrase"),
        (f"{PLOT} He is attracted by one, impacted by all.", None),
        (KEYS, "gibberish"),
        (SPANISH, "not_english"),
        (PLOT, None),
    ],
)
def test_pruning_drops_only_what_it_is_asked_for(
    row: MakeRow, listing: Listing, cleaned: Cleaned, description: str, rule: str | None
) -> None:
    folder = listing(row("tt1", description=description)).parent
    for profile in ("default", "original"):
        ledger = cleaned(folder, profile=profile, prune=ALL)[1]
        dropped = {key for key, count in ledger.counts.items() if key.startswith("dropped/") and count}
        assert dropped == ({f"dropped/{rule}"} if rule else set())
        assert [example["movie_id"] for example in ledger.examples.values()] == ["tt1"] * len(dropped)
        assert cleaned(folder, profile=profile)[0].height == 1


def test_nothing_is_pruned_by_default() -> None:
    names = {rule.name for rule in build_profile(CleanConfig()).rules}
    pruning = {rule.name for rule in build_profile(CleanConfig.model_validate({"prune": ALL})).rules} - names
    assert pruning == {"too_few_words", "too_many_words", "production_phrase", "gibberish", "not_english"}


def test_bounds_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="min_words 11 is more than max_words 10"):
        PruneConfig(min_words=11, max_words=10)


def texts(*values: str) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


def test_random_letters_are_gibberish_and_names_are_not() -> None:
    chance = random.Random(1)
    noise = [
        " ".join("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(8))
        for _ in range(50)
    ]
    assert is_gibberish(texts(*noise)).all()
    real = (
        "Biography of Zsigmond Krzyszewski.",
        "Ngugi wa Thiong'o.",
        SPANISH,
        PLOT,
        "山田太郎の旅",
        "NBA.",
        "",
        "1234 5678",
    )
    assert not is_gibberish(texts(*real)).any()
    assert is_gibberish(texts(PLOT, KEYS, PLOT.upper(), KEYS.upper())).to_list() == [False, True, False, True]


@pytest.mark.parametrize(
    "foreign",
    [
        SPANISH,
        "Im Jahr nach dem Krieg muss eine junge Frau zwischen ihrer Liebe und ihrer Pflicht wählen.",
        "Elle quitte la ville et part à la recherche de son frère disparu.",
        "История любви и предательства в маленьком городе.",
        "2001年、太郎は失われた記憶を求めて旅に出る。",
        "Τότε η Άννα φτάνει σε ένα μικρό νησί.",
    ],
)
def test_other_languages_are_foreign(foreign: str) -> None:
    assert is_foreign(texts(PLOT, foreign, "", "Casablanca.")).to_list() == [False, True, False, False]


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    some = texts(PLOT, KEYS, SPANISH, "", PLOT)
    whole = is_foreign(some).to_list(), is_gibberish(some).to_list()
    monkeypatch.setattr("tasks.clean.prune.SLICE_TEXTS_FOREIGN", 2)
    monkeypatch.setattr("tasks.clean.prune.SLICE_TEXTS", 2)
    assert (is_foreign(some).to_list(), is_gibberish(some).to_list()) == whole
    assert is_foreign(texts()).to_list() == is_gibberish(texts()).to_list() == []
