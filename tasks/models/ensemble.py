"""A model made of others: weighted sums of their log-odds. Owns its scoring and its folder; fits nothing."""

import json
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.decision.calibration import log_odds, logistic
from tasks.errors import ModelError
from tasks.models.genre_model import MODEL_FILE, GenreModel
from tasks.models.precision import Precision
from tasks.models.spec import ModelSpec, TransformerSpec

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
