import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl

from tasks.tracking.models import LONGEST, write_card
from tasks.tracking.select_runs import LoggedModel

RUN = SimpleNamespace(
    data=SimpleNamespace(tags={"genreflow.source": "kaggle", "genreflow.git_revision": "0123456789abcdef"}),
    info=SimpleNamespace(start_time=86_400_000),
    inputs=SimpleNamespace(
        dataset_inputs=[
            SimpleNamespace(
                dataset=SimpleNamespace(profile=json.dumps({"num_rows": rows})), tags=[SimpleNamespace(value=part)]
            )
            for part, rows in (("train", 1200), ("test", 150))
        ]
    ),
)


def write(folder: Path, labels: list[str]) -> tuple[LoggedModel, Path]:
    """A model's evaluation and a leaderboard with its intervals."""
    values = {"test/jaccard": 0.5, "test/exact_match": 0.25}
    metrics = {"chosen_rule": "top", "chosen_by": "jaccard", "rules": {"top": values}}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    supports = [100 if number else 3 for number in range(len(labels))]
    table = {"genre": labels, "support": supports, "precision": 0.5, "recall": [None] * len(labels), "f1": 0.4}
    pl.DataFrame(table, schema_overrides={"recall": pl.Float64}).write_csv(folder / "per_genre.csv")
    board = {"model": ["7", "other"], "test_jaccard_low": [0.45, 0.1], "test_jaccard_high": [0.55, 0.2]}
    pl.DataFrame(board).write_csv(folder / "leaderboard.csv")
    return LoggedModel("7", folder, "abc", "models:/m-1", "d1"), folder / "leaderboard.csv"


def test_a_card_says_what_the_model_is_how_good_and_how_to_call_it(tmp_path: Path) -> None:
    model, board = write(tmp_path, ["Drama", "War", "<b>[x](y)|"])
    card = write_card(RUN, model, board, "movie-genre-classifier", 3)
    assert "trained on 1970-01-02 on source kaggle, data d1 (1,200 train, 150 test), code 0123456789ab" in card
    assert "| Jaccard | 0.500 | 0.450 to 0.550 |" in card
    assert "| exact match | 0.250 |  |" in card
    assert "Metrics are unreliable for labels with fewer than 10 test rows: Drama." in card
    assert "| War | 100 | 0.50 | – | 0.40 |" in card
    assert "| &lt;b&gt;\\[x\\](y)\\| | 100 |" in card
    assert 'load_model("models:/movie-genre-classifier/3")' in card


def test_a_card_of_many_labels_fits_into_mlflow(tmp_path: Path) -> None:
    model, board = write(tmp_path, [f"{number:02} {'a long name ' * 3}" for number in range(200)])
    card = write_card(RUN, model, board, "tickets", 1)
    assert len(card) <= LONGEST
    assert "more labels in the run's `per_genre.csv`" in card
