"""The served classifier: a fitted model, its decision rules and its genres, from tables to genres.

Owns prediction as users and servers see it. Knows no MLflow: its folder is plain files, and MLflow loads it through
`tasks.models.served`.
"""

import gc
import json
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import DataError, ModelError
from tasks.decision.calibration import log_odds, logistic
from tasks.decision.rule_formats import parse_rule, rules_from_json
from tasks.decision.rules import Rule
from tasks.models.pipeline import MODEL_FILE, GenreModel
from tasks.models.spec import ModelSpec, Precision, TransformerSpec

MEMBERS: Final = "members"
CLIP: Final = 1e-3  # a member that is sure, as neighbours often are, counts no more than this allows

Scores = NDArray[np.float32]
# One a member, or one a member and genre; in the latter case the biases of the genres may come last.
Weights = tuple[float | tuple[float, ...], ...]


class SingleModel(Protocol):
    """A model that is no ensemble: `GenreModel` or `TransformerModel`."""

    genres: tuple[str, ...]
    precision: Precision

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The further columns that it reads, of a table of one's own."""
        ...

    @property
    def spec(self) -> ModelSpec | TransformerSpec:
        """What it is made of, and its name."""
        ...

    def scores(self, movies: pl.DataFrame) -> Scores:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into a folder that exists."""
        ...


class EnsembleModel:
    """Scores `logistic(sum over members of weight * log-odds(score))`. It never sees a threshold."""

    def __init__(self, name: str, members: dict[str, SingleModel], weights: Weights) -> None:
        self.name, self.members, self.weights = name, members, weights
        self.genres = next(iter(members.values())).genres

    def scores(self, movies: pl.DataFrame) -> Scores:
        """Return (movies × genres) scores in [0, 1], in the order of the rows and of `self.genres`."""
        return blend([member.scores(movies) for member in self.members.values()], self.weights)

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The further columns that members read, of a table of one's own."""
        return tuple(sorted({name for member in self.members.values() for name in member.own_fields}))

    @property
    def precision(self) -> Precision:
        """How exactly members that are fine-tuned encoders compute scores."""
        return next(iter(self.members.values())).precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        for member in self.members.values():
            member.precision = precision

    def save(self, folder: Path) -> None:
        """Write the weights and every member into a folder that exists."""
        stored = {
            "name": self.name,
            "genres": self.genres,
            "own_fields": self.own_fields,
            MEMBERS: list(self.members),
            "weights": self.weights,
        }
        (folder / MODEL_FILE).write_text(json.dumps(stored, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, member in self.members.items():
            (folder / MEMBERS / name).mkdir(parents=True)
            member.save(folder / MEMBERS / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: a file is missing or damaged.
        """
        try:
            stored = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
            names = [str(name) for name in stored[MEMBERS]]
            weights = tuple(tuple(map(float, w)) if isinstance(w, list) else float(w) for w in stored["weights"])
            members = {name: load_single(folder / MEMBERS / name) for name in names}
            widths = {1 if isinstance(weight, float) else len(weight) for weight in weights}
            belongs = len(weights) - len(members) in (0, 1) and widths <= {1, len(stored["genres"])}
            if not belongs or {member.genres for member in members.values()} != {tuple(stored["genres"])}:
                raise ModelError(f"{folder / MODEL_FILE}: weights, members and genres do not belong together")
            return cls(str(stored["name"]), members, weights)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error


def blend(scores: list[Scores], weights: Weights) -> Scores:
    """Return the blended scores of members' scores, each (movies × genres)."""
    biases = weights[len(scores) :]
    total = np.tile(np.asarray(biases[0]), (len(scores[0]), 1)) if biases else np.zeros(scores[0].shape)
    for member, weight in zip(scores, weights, strict=False):
        total += np.asarray(weight) * log_odds(member, CLIP)
    return logistic(total).astype(np.float32)


def load_single(folder: Path) -> SingleModel:
    """Read a stored model that is no ensemble.

    Raises:
        ModelError: a file is missing or damaged.
    """
    if "encoder" not in _read_stored(folder):
        return GenreModel.load(folder)
    from tasks.models.encoder.model import TransformerModel  # noqa: PLC0415 - torch takes seconds to import

    return TransformerModel.load(folder)


def load_model(folder: Path) -> SingleModel | EnsembleModel:
    """Read a stored model of any form.

    Raises:
        ModelError: a file is missing or damaged.
    """
    return EnsembleModel.load(folder) if MEMBERS in _read_stored(folder) else load_single(folder)


def _read_stored(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"the model in {folder} is incomplete or damaged ({error}); train it again") from error


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
            rule: the name of a stored rule, or a rule as `tasks.decision.rule_formats.parse_rule` reads it,
                such as `threshold=0.3`, `top=2` or `Drama=0.6,Horror=0.3`; None is the stored rule that was chosen.

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
