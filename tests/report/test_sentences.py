"""Sentences against small tables whose answers are known."""

import doctest
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from tasks.core import page as html
from tasks.core.files import hash_file
from tasks.core.settings import DataPaths
from tasks.report import page, sources
from tasks.report.figures import draw_genre_model_map
from tasks.report.genres import (
    _is_of_these_movies,
    say_audit,
    say_confusion,
    say_genres,
    say_instead,
    say_map,
    say_rare_features,
    say_support,
    say_undefined,
)
from tasks.report.leaderboard import Baseline
from tasks.report.models import (
    COSTS,
    leaderboard_table,
    say_frontier,
    say_leader,
    say_order,
    say_published,
    say_trade,
    say_training,
)
from tasks.report.movies import bin_by_length, say_calibration, say_sizes
from tasks.report.page import (
    rows_of_cleaning,
    say_change,
    say_dropped,
    say_duration,
    say_rows,
    say_use,
    shorten_paths,
)
from tasks.report.sources import PreviousRun


def board(*rows: tuple[str, float, float | None, float | None, float | None, float]) -> pl.DataFrame:
    columns = ["model", "test_jaccard", "behind", "behind_low", "behind_high", "predict_docs_per_s"]
    schema = {"model": pl.String, **dict.fromkeys(columns[1:], pl.Float64)}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.with_row_index("rank", offset=1).with_columns(rule=pl.lit("global"), chosen_by=pl.lit("jaccard"))


FIRST = ("a", 0.5, None, None, None, 10.0)
SURE = ("b", 0.4, 0.1, 0.05, 0.15, 1000.0)
UNSURE = ("c", 0.48, 0.02, -0.01, 0.05, 100.0)
EQUAL = ("d", 0.5, 0.0, 0.0, 0.0, 5.0)
AHEAD = ("e", 0.52, -0.02, -0.05, 0.01, 5.0)


def genres(*rows: tuple[str, int, int, int, int, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["genre", "support", "tp", "fp", "fn", "f1"], orient="row")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([FIRST], ["a is the only model", "0.500"]),
        (
            [FIRST, SURE],
            ["a leads", "0.100 more than b", "95% CI 0.050 to 0.150", "significantly better than all others"],
        ),
        ([FIRST, UNSURE, SURE], ["The gap to c could be chance."]),
        ([FIRST, EQUAL], ["d scores exactly the same", "validation alone"]),
        ([FIRST, AHEAD], ["0.020 less than e", "The gap to e could be chance"]),
        ([FIRST, ("f", None, None, None, None, 1.0)], ["undefined"]),
    ],
)
def test_the_leader(rows: list[tuple[str, float, float, float, float, float]], expected: list[str]) -> None:
    sentence = say_leader(board(*rows))
    assert all(part in sentence for part in expected), sentence


def test_the_order_names_a_model_that_the_test_would_put_first() -> None:
    assert "e has the highest Jaccard on test, but the test does not decide" in say_order(board(FIRST, AHEAD, SURE))
    assert "the same model is first on test" in say_order(board(FIRST, SURE))
    assert "on test it ties with d" in say_order(board(FIRST, EQUAL, SURE))
    assert "no other model" in say_order(board(FIRST))
    assert say_order(board(FIRST, EQUAL)) == (
        "Both models have the same Jaccard on test, 0.500; validation alone sets the order."
    )
    near = ("f", 0.5001, -0.0001, -0.01, 0.01, 5.0)
    assert say_order(board(FIRST, EQUAL, near)).startswith(
        "All 3 models have, to three decimals, the same Jaccard on test, 0.500"
    )


def test_costs() -> None:
    assert "c reaches 96% of its Jaccard at 100 movies per second, 10 times as fast" in say_trade(
        board(FIRST, UNSURE, SURE)
    )
    assert "no model with at least 90%" in say_trade(board(FIRST, SURE))
    assert "no model with at least 90%" in say_trade(board(FIRST, ("x", 0.49, 0.01, 0.0, 0.02, 10.0)))
    assert say_trade(board(FIRST, ("x", 0.49, 0.01, 0.0, 0.02, 13.0))).endswith("second, 1.3 times as fast.")
    assert say_trade(board(FIRST, ("x", 0.49, 0.01, 0.0, 0.02, 10.4))).endswith("at 10 movies per second.")
    assert say_frontier(board(FIRST, EQUAL)) == "a is both the best and the fastest of 2 models."
    assert say_frontier(board(FIRST, UNSURE, SURE, EQUAL)).startswith(
        "No other model is both better and faster than these 3 of 4"
    )
    assert say_frontier(board(FIRST, UNSURE, SURE, EQUAL)).endswith("b, c, a.")
    assert say_frontier(board(FIRST)) == "a is the only model."


def test_intervals_stand_in_the_cells_of_their_figures() -> None:
    table = leaderboard_table(board(FIRST, SURE), ["rank", "model", "behind"], "name", "Caption")
    assert [column.title for column in table.columns] == ["rank", "model", "gap to best (95% CI)"]
    assert [cell.text for cell in table.rows[1]] == [
        "2",
        "b",
        "0.100 (0.050\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.150)",
    ]
    assert table.head == 1
    assert table.rows[0][2].key is None
    baseline = Baseline(("Drama",), {"test_jaccard": 0.2})
    with_baseline = leaderboard_table(board(FIRST, SURE), ["model", "test_jaccard"], "name", "Caption", baseline)
    assert [cell.text for cell in with_baseline.rows[-1]] == ["constant baseline", "0.200"]


def test_columns_that_are_new_to_the_page_are_shown_by_their_kind() -> None:
    new = {
        "model_memory_mb": 5.5,
        "test_jaccard_low": 0.45,
        "test_jaccard_high": 0.55,
        "test_mean_average_precision": 0.7,
    }
    table = board(FIRST).with_columns(pl.lit(value).alias(name) for name, value in new.items())
    shown = leaderboard_table(table, ["model", "test_jaccard", "test_mean_average_precision"], "name", "Caption")
    assert [column.title for column in shown.columns] == ["model", "Jaccard", "mean average precision"]
    assert shown.rows[0][1].text == "0.500 (0.450\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.550)"
    assert [column for column in table.columns if COSTS.search(column)] == ["predict_docs_per_s", "model_memory_mb"]
    assert sources.metric_title("model_memory_mb") == "model memory, MB"


def test_published_figures() -> None:
    rows = {"model": ["a", "b"], "published_jaccard": [0.3, 0.4], "ours_jaccard": [0.5, 0.3]}
    assert say_published(pl.DataFrame(rows)).startswith(
        "Ours exceed 1 of 2 published Jaccards. The difference is largest for a: 0.500, published 0.300."
    )


def test_genres_are_best_and_worst_equal_undefined_or_never_found() -> None:
    undefined = ("War", 0, 0, 0, 0, None)
    table = genres(("Drama", 9, 8, 1, 1, 0.8), ("Music", 4, 0, 0, 4, 0.0), undefined)
    assert say_genres(table) == (
        "Best genre: Drama (F1 0.80, n = 9). Worst: Music (F1 0.00, n = 4). Music was never found."
    )
    assert say_undefined(table).startswith("War has no test movie: its")
    assert say_undefined(table.head(2)) == ""
    assert say_genres(table.tail(1)) == "No genre has a test movie, so every F1 is undefined."
    assert "same F1, 0.50" in say_genres(genres(("A", 1, 1, 1, 0, 0.5), ("B", 1, 1, 1, 0, 0.5)))
    assert say_genres(genres(("A", 1, 1, 1, 0, 0.5), undefined)) == (
        "A is the only genre with a test movie; its F1 is 0.50."
    )


def test_support_names_the_outlier() -> None:
    rows = [(name, 10**power, 1, 1, 1, 0.15 * power) for power, name in enumerate("abcdef", start=1)]
    sentence = say_support(genres(*rows[:5], ("Western", 12, 1, 1, 1, 0.9)))
    assert "outlier is Western (F1 0.90, n = 12), above the trend." in sentence


def test_support_names_no_outlier_if_all_follow_the_trend_or_genres_are_few() -> None:
    rows = [(name, 10**power, 1, 1, 1, 0.15 * power) for power, name in enumerate("abcdef", start=1)]
    rises = "F1 clearly rises with the number of movies (rank correlation 1.00)."
    assert [say_support(genres(*rows[:count])) for count in (4, 6)] == [rises, rises]
    falling = [(*row[:-1], 1 - (row[-1] or 0)) for row in rows]
    assert say_support(genres(*falling)) == "F1 falls with the number of movies (rank correlation −1.00)."
    assert say_support(genres(*rows[:4], ("Western", 12, 1, 1, 1, 0.9))).endswith(").")
    assert say_support(genres(*rows[:3])).startswith("Too few")


def test_the_map_names_the_widest_genre_and_the_best_model() -> None:
    f1 = np.array([[0.1, 0.5, np.nan, 0.2], [0.7, 0.4, np.nan, 0.3]])
    assert say_map(f1, ["one", "two"], ["A", "B", "C", "D"]) == (
        "Models differ most on A: F1 ranges from 0.10 (one) to 0.70 (two). two has the highest F1, or shares it, on "
        "2 of 3 genres."
    )
    unfound = np.array([[0.1, 0.0], [0.7, 0.0]])
    assert say_map(unfound, ["one", "two"], ["A", "B"]).endswith("on 1 of 2 genres; no model finds 1 of them.")
    assert say_map(f1[:1, :2], ["one"], ["A", "B"]) == "There is one model; its F1 is highest on B, 0.50."
    assert "the same to 0.01" in say_map(np.full((2, 2), 0.5), ["one", "two"], ["A", "B"])
    assert "the same to 0.01" in say_map(np.array([[0.5] * 2, [0.501] * 2]), ["one", "two"], ["A", "B"])
    assert say_map(f1[:, [2, 2]], ["one", "two"], ["C", "D"]) == "No genre has a test movie."


def test_the_map_names_all_models_that_share_an_end() -> None:
    f1 = np.array([[0.001, 0.2], [0.0, 0.1], [0.4, 0.2], [0.9, 0.1]])
    assert say_map(f1, ["one", "two", "three", "four"], ["A", "B"]) == (
        "Models differ most on A: F1 ranges from 0.00 (one and two) to 0.90 (four). one, three and four each have the "
        "highest F1, or share it, on 1 of 2 genres."
    )
    many = np.array([[0.0, 0.5]] * 4 + [[1, 0.5]])
    assert "from 0.00 (4 models) to 1.00 (e)" in say_map(many, list("abcde"), ["A", "B"])


def test_the_map_shows_zero_and_undefined_differently() -> None:
    (axes,) = draw_genre_model_map(np.array([[0.0, np.nan], [0.5, 0.0]]), ["one", "two"], ["A", "B"]).axes
    marks = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert marks == {(0.5, 0.5): "0", (0.5, 1.5): "–", (1.5, 0.5): "50", (1.5, 1.5): "0"}


def test_features_of_few_movies_come_with_a_warning() -> None:
    rows = {"genre": ["A", "B"], "feature": ["director X", "the"], "weight": [7.2, 0.5], "movies": [8, 500]}
    said = say_rare_features(pl.DataFrame(rows))
    assert said.startswith(
        "Warning: 1 of 2 features below occurs in fewer than 20 movies, such as “director X” for A (8"
    )
    assert say_rare_features(pl.DataFrame(rows).tail(1)) == ""


def test_the_change_since_the_previous_run_counts_on_the_same_data_alone() -> None:
    previous = PreviousRun("earlier", "svm", 0.48, "hash")
    assert say_change(board(FIRST), previous, "hash") == (
        "Previous run (earlier): svm was best, with a Jaccard of 0.480 on the same data; now it is 0.500, a change of "
        "+0.020."
    )
    assert say_change(board(FIRST), previous, "other").endswith("0.480, on other data: the two cannot be compared.")
    assert say_change(board(FIRST), PreviousRun("earlier", "svm", 0.5, ""), "").endswith("0.500, the same.")
    assert say_change(board(FIRST), None, "") == ""


def test_confusion() -> None:
    table = genres(("Drama", 10, 9, 9, 1, 0.6), ("Music", 4, 1, 0, 3, 0.4))
    assert say_confusion(table) == (
        "Most often missed: Music, in 75% of the movies that have it. Most often wrong: Drama, in 50% of the movies "
        "that get it."
    )
    table = genres(("Drama", 4, 2, 1, 3, 0.3), ("Music", 4, 2, 1, 3, 0.3), ("War", 4, 4, 4, 0, 1.0))
    assert say_confusion(table) == (
        "Most often missed: Drama and Music, in 75% of the movies that have them. Most often wrong: War, in 50% of "
        "the movies that get it."
    )
    right = ("War", 4, 4, 0, 0, 1.0)
    assert say_confusion(genres(right)) == "No genre was missed in any movie. No genre was wrongly predicted."
    assert say_confusion(genres(right, ("Music", 4, 1, 0, 3, 0.4))) == (
        "Most often missed: Music, in 75% of the movies that have it. No genre was wrongly predicted."
    )
    instead = np.array([[0.0, 2, 1, 3], [0, 0, 1, 1]])
    assert say_instead(instead, ["A", "B"]) == (
        "Most frequent: B in 2 of 3 movies where A was missed; in 50% of all misses, no wrong genre was predicted."
    )
    assert say_instead(np.zeros((2, 4)), ["A", "B"]) == "No genre was missed in any movie."


def say_lengths(model: str, bins: pl.DataFrame) -> str:
    return sources.say("lengths", model=model, bins=bins.to_dicts())


def test_lengths_are_binned_with_equal_ones_together() -> None:
    words = np.repeat([5, 20], 40)
    jaccard = np.where(words == 5, 0.2, 0.6) + np.tile([0.05, -0.05], 40)
    bins = bin_by_length(words, np.append(jaccard[:-1], np.nan))
    assert bins["label"].to_list() == ["5", "20"]
    assert bins["movies"].to_list() == [40, 39]
    assert say_lengths("a", bins).startswith(
        "Predictions are better for long descriptions than for short ones: a's mean Jaccard is 0.200"
    )
    assert "not better for long" in say_lengths("a", bin_by_length(words, np.tile([0.0, 1.0], 40)))
    assert "All descriptions have about the same length" in say_lengths("a", bin_by_length(np.full(9, 7), np.ones(9)))
    assert bin_by_length(np.array([], np.int64), np.array([]))["movies"].to_list() == [0]


def test_set_sizes() -> None:
    assert "1 genre predicted for 2 more movies than have it" in say_sizes(np.array([0, 3, 3]), np.array([0, 5, 2]))
    assert say_sizes(np.array([0, 3, 3]), np.array([0, 6])) == (
        "Every movie gets 1 genre; movies have 1.50 on average, from 1 to 2."
    )
    one = say_sizes(np.array([0, 3]), np.array([0, 2, 1]))
    assert one.startswith("Movies have 1.00 genres on average and get 1.33.")
    assert one.endswith("1 genre predicted for 1 fewer movie than have it.")


def test_calibration_may_not_help() -> None:
    table = pl.DataFrame(
        {"genre": ["A", "B"], "positives": [5, 5], "ece_raw": [0.1, 0.1], "ece_calibrated": [0.1, 0.3]}
    )
    assert "does not lower the mean error over genres (0.100 before, 0.200 after)" in say_calibration(table)
    assert "is B's, 0.300" in say_calibration(table)
    assert say_calibration(table.with_columns(positives=0)).startswith("No genre")


def test_training_is_best_at_its_end_or_before() -> None:
    history = pl.DataFrame({"epoch": [1.0, 2.0, 3.0], "validation_jaccard": [0.3, 0.5, 0.4]})
    assert say_training(history) == (
        "The Jaccard on validation peaks after 2 epochs, at 0.500; by the end, after 3 epochs, it fell to 0.400."
    )
    level = pl.DataFrame({"epoch": [1.0, 2.0, 3.0], "validation_jaccard": [0.3, 0.5, 0.5]})
    assert say_training(level).endswith("after 2 epochs, at 0.500, and is the same at the end, after 3 epochs.")
    assert "still rising, by 0.200" in say_training(history.head(2))
    assert "the only time" in say_training(history.head(1))


def test_rows_and_reasons() -> None:
    counts = {"rows_read": 100, "movies_kept": 60, "dropped/tba": 30, "dropped/no_genre": 5, "merged/same_movie": 5}
    assert say_rows(counts).startswith(
        "Of 100 rows read, 60 movies are left (60%): 35 rows dropped, 5 rows merged into"
    )
    assert say_rows({}).startswith("There are no counts")
    assert say_dropped({"tba": 30, "no_genre": 5}) == "“tba” accounts for 30 of 35 dropped rows (86%)."
    assert say_dropped({"tba": 30}) == "All 30 dropped rows have one reason: “tba”."
    assert say_dropped({"tba": 1}) == "The only dropped row has one reason: “tba”."
    assert say_rows({**counts, "merged/same_movie": 1}).endswith(", 1 row merged into another row of the same movie.")


def test_every_line_of_the_cleaning_says_why() -> None:
    counts = {"dropped/tba": 3, "merged/same_movie": 2, "unparsed/year": 4, "unparsed/length": 1, "rows_read": 9}
    why = {row[0].text: row[3].text for row in rows_of_cleaning(counts, {"tba": "It says nothing."})}
    assert why == {
        "tba": "It says nothing.",
        "same movie": "The same movie is in several listings.",
        "year": "The field is not a year from 1800 to 2199; it counts as unknown.",
        "length": "The field cannot be read; it counts as unknown.",
    }


def test_the_parts_differ_by_no_more_than_is_said() -> None:
    said = page.say_split({"largest_share_difference": 0.0503, "text_groups": {"across_parts": 1}})
    assert "by more than 0.06 percentage points, and 1 group of near-duplicate descriptions is in more" in said
    assert page.say_split({}) == ""


def test_the_label_audit_names_the_most_doubted_genre() -> None:
    audit = pl.DataFrame({"movie_id": ["1", "2", "3"], "doubted": ["lacks War", "is not War", "lacks Film-Noir"]})
    assert "for 3 movies, most often about War (67% of them)" in say_audit(audit)
    audit = pl.DataFrame(
        {
            "movie_id": ["1", "2", "3"],
            "doubted": ["lacks War; is not Drama", "is not Drama; lacks Music", "lacks War"],
            "scores_from": ["svm, validation", "svm, test", "svm, test"],
        }
    )
    said = say_audit(audit)
    assert said.startswith(
        "The scores of svm on test and svm on validation contradict the listings for 3 movies, most often"
    )
    assert "about Drama (67% of them)" in said
    assert say_audit(audit.clear()) == "The label audit found no doubtful movie."


def test_what_answers_are_worth() -> None:
    said = "at least one genre right for 75% of the test movies, and exactly the right set for 25%."
    assert said in say_use(np.array([0, 0.5, 0.5, 1, np.nan]))
    assert say_use(np.array([np.nan])).startswith("No test movie has a genre")


def test_times_and_paths() -> None:
    assert [say_duration(seconds) for seconds in (119.4, 120, 3600)] == ["119 s", "2 min", "1 h 0 min"]
    assert shorten_paths("from /a/b/c") == "from …/b/c"
    assert shorten_paths(str(Path("sample"))) == "sample"


@pytest.mark.parametrize("module", [sources, page, html])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).attempted
    assert not doctest.testmod(module).failed


def test_the_effect_of_an_audit_is_shown_with_its_own_movies_alone(tmp_path) -> None:
    paths = DataPaths(tmp_path)
    for folder in (paths.results, paths.splits.parent):
        folder.mkdir(parents=True, exist_ok=True)
    paths.splits.write_bytes(b"these")
    assert not _is_of_these_movies(paths)
    sidecar = {"counts": {"splits": hash_file(paths.splits)}}
    (paths.results / "label_audit_effect.stage.json").write_text(json.dumps(sidecar), encoding="utf-8")
    assert _is_of_these_movies(paths)
    paths.splits.write_bytes(b"others")
    assert not _is_of_these_movies(paths)
