import numpy as np
import polars as pl

from tasks.report.figures import count_instead


def test_what_is_predicted_instead_of_a_missed_genre_is_counted() -> None:
    predictions = pl.DataFrame(
        {
            "true_genres": [["Drama", "War"], ["War"], ["War"], ["Drama"]],
            "predicted_genres": [["Drama"], ["Drama", "Comedy"], ["War", "Comedy"], ["Drama"]],
        }
    )
    counts = count_instead(predictions, ["Comedy", "Drama", "War"])
    # War is missed twice: once with nothing wrong beside it, once with Comedy and Drama instead.
    assert counts.tolist() == [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 1, 2]]


def test_a_right_model_misses_nothing() -> None:
    genres = [["Drama"], ["War", "Drama"]]
    counts = count_instead(pl.DataFrame({"true_genres": genres, "predicted_genres": genres}), ["Drama", "War"])
    assert not np.any(counts)


def test_predicting_nothing_is_nothing_wrong() -> None:
    predictions = pl.DataFrame(
        {"true_genres": [["Drama"]], "predicted_genres": [[]]},
        schema=dict.fromkeys(["true_genres", "predicted_genres"], pl.List(pl.String)),
    )
    assert count_instead(predictions, ["Drama"]).tolist() == [[0, 1, 1]]
