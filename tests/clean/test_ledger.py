import polars as pl

from tasks.clean.read import Damage
from tasks.clean.rules import EXAMPLE_CHARS, Change, Drop, DropText, Ledger, apply_rules

MOVIES = pl.DataFrame(
    {"movie_id": ["1", "2", "3", "4"], "movie_name": ["A", "B", "C", "D"], "description": ["x y", "x", "y", "z" * 999]}
)
X = DropText("x", "X.", "x")
Y = DropText("y", "Y.", "y")


def test_the_first_rule_that_matches_has_the_movie() -> None:
    ledger = Ledger()
    assert apply_rules(MOVIES, [X, Y], ledger)["movie_id"].to_list() == ["4"]
    assert ledger.counts == {"dropped/x": 2, "dropped/y": 1}
    assert apply_rules(MOVIES, [Y, X], ledger)["movie_id"].to_list() == ["4"]
    assert ledger.counts == {"dropped/x": 3, "dropped/y": 3}


def test_rules_see_what_earlier_rules_left() -> None:
    shorten = Change("shorten", "S.", {"description": pl.col("description").str.head(1)})
    same = Drop("same", "D.", ~pl.col("description").is_first_distinct())
    ledger = Ledger()
    assert apply_rules(MOVIES, [shorten, same, X], ledger)["movie_id"].to_list() == ["3", "4"]
    assert ledger.counts == {"changed/shorten": 2, "dropped/same": 1, "dropped/x": 1}


def test_a_change_counts_rows_in_which_any_column_differs() -> None:
    change = Change("both", "B.", {"movie_name": pl.col("movie_name").replace("A", None), "description": pl.lit("x")})
    ledger = Ledger()
    changed = apply_rules(MOVIES, [change], ledger)
    assert ledger.counts == {"changed/both": 3}
    assert changed["movie_name"].to_list() == [None, "B", "C", "D"]
    assert changed["description"].to_list() == ["x"] * 4


def test_a_condition_that_is_null_drops_nothing() -> None:
    ledger = Ledger()
    assert apply_rules(MOVIES, [Drop("null", "N.", pl.lit(None, pl.Boolean))], ledger).height == 4
    assert ledger.counts == {"dropped/null": 0}


def test_the_report_shows_each_rule_with_an_example_from_before_it() -> None:
    shorten = Change("shorten", "S.", {"description": pl.col("description").str.head(1)})
    never = Drop("never", "N.", pl.lit(value=False))
    ledger = Ledger()
    apply_rules(MOVIES.reverse(), [shorten, never], ledger)
    ledger.note_damage("a.csv", Damage(), prefix="")
    damage = Damage()
    damage.note("dropped/long_row", 7, 2)
    ledger.note_damage("b.csv", damage, prefix="crawl/")
    report = ledger.report([shorten, never])
    assert report["rules"] == [
        {
            "name": "shorten",
            "reason": "S.",
            "count": 2,
            "example": {"movie_id": "4", "movie_name": "D", "description": "z" * EXAMPLE_CHARS},
        },
        {"name": "never", "reason": "N.", "count": 0, "example": None},
    ]
    assert report["counts"]["crawl/dropped/long_row"] == 2
    assert report["damage"] == {"b.csv": {"counts": {"dropped/long_row": 2}, "first_lines": {"dropped/long_row": 7}}}
