"""The served classifier: a fitted model, its decision rules and its genres, from tables to genres.

Owns prediction as users and servers see it. Knows no MLflow: its folder is plain files, and MLflow loads it through
`tasks.models.served`.
"""

import gc
import json
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.decision.parse import parse_rule
from tasks.decision.rules import Rule
from tasks.decision.stored import rules_from_json
from tasks.errors import DataError, ModelError
from tasks.models.ensemble import EnsembleModel, SingleModel, load_model

RULES_FILE: Final = "rules.json"
MODEL_FOLDER: Final = "model"
ROWS_AT_ONCE: Final = 10_000  # bounds the memory of a prediction, whatever the length of the table


class GenreClassifier:
    """A fitted model with the rules that turn its scores into genres; `rule` names the one that was chosen."""

    def __init__(self, model: SingleModel | EnsembleModel, rules: dict[str, Rule], rule: str) -> None:
        self.model, self.rules, self.rule = model, rules, rule

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.model.name if isinstance(self.model, EnsembleModel) else self.model.spec.name

    @property
    def genres(self) -> tuple[str, ...]:
        """The genres, in the order of the score columns."""
        return self.model.genres

    def predict(self, movies: pl.DataFrame, rule: str | None = None) -> pl.DataFrame:
        """Return `genres` (names joined by ", ") and one `score_<Genre>` a genre, one row per movie in input order.

        `genres` is an empty text where the rule decides none.

        Args:
            movies: column `description`, and optionally `movie_name` and what `tasks.models.inputs.read_fields` takes;
                null counts as empty. Other columns are ignored.
            rule: the name of a stored rule, or a rule of one's own as `tasks.decision.parse.parse_rule` reads it, such
                as `threshold=0.3`, `top=2` or `Drama=0.6,Horror=0.3`; None is the stored rule that was chosen.

        Raises:
            ConfigError: there is no such rule.
            DataError: there is no column `description`.
            ModelError: the network in eight bits is asked for, and missing or damaged.
        """
        chosen = parse_rule(rule or self.rule, self.rules, self.genres)
        pieces = [
            self._predict_piece(movies.slice(start, ROWS_AT_ONCE), chosen)
            for start in range(0, max(movies.height, 1), ROWS_AT_ONCE)
        ]
        return pl.concat(pieces)

    def _predict_piece(self, movies: pl.DataFrame, rule: Rule) -> pl.DataFrame:
        scores = self.model.scores(movies)
        names = join_genres(rule.decide(scores), self.genres)
        columns = {f"score_{genre}": scores[:, column] for column, genre in enumerate(self.genres)}
        return pl.DataFrame({"genres": names, **columns}, schema_overrides={"genres": pl.String})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `model/` and `rules.json` from a folder.

        Raises:
            ModelError: a file is missing or damaged.
        """
        try:
            stored = json.loads((folder / RULES_FILE).read_text(encoding="utf-8"))
            rules = rules_from_json(stored["rules"])
            rule = next(name for name in rules if name == stored["chosen"])
        except (OSError, ValueError, KeyError, TypeError, StopIteration, DataError) as error:
            raise ModelError(f"{folder / RULES_FILE} is missing or damaged ({error}); train the model again") from error
        loaded = cls(load_model(folder / MODEL_FOLDER), rules, rule)
        # The model stays, so the garbage collector need not look through it: of a served one, the slowest answer in a
        # hundred takes a third of the time.
        gc.collect()
        gc.freeze()
        return loaded


def join_genres(decided: NDArray[np.bool_], genres: tuple[str, ...]) -> list[str]:
    """Return one text a row: the names of the decided genres, joined by ", "."""
    return [", ".join(genres[column] for column in np.flatnonzero(row)) for row in decided]
