"""Decision rules: from scores to sets of labels. They are fitted in `thresholds`.

Every rule decides at least one genre for every movie, unless its fallback is "none".

The expected Jaccard and F1 assume that genres are independent. Let p_1 >= p_2 >= ... be their probabilities, H the
number of true genres among the first k of them and M the number among the others: both are Poisson-binomial and
independent of each other. Replacing one of the first k by a less probable genre lowers H and raises M, so no other set
of k genres has a greater expected Jaccard or F1, and the best k gives the best of all sets. Both functions need E[1 /
(l + M)], which follows from moving genres one by one from the others into the set, the least probable first:

    E[1 / (l + M_(k-1))] = p_k E[1 / (l + 1 + M_k)] + (1 - p_k) E[1 / (l + M_k)],  with M_g = 0.

No matrix product is used: its last digits would depend on which movies are scored together.

Source:
    Lewis 1995, Evaluating and Optimizing Autonomous Text Classification Systems;
    Dembczynski et al. 2011, An Exact Algorithm for F-Measure Maximization;
    Ye et al. 2012, Optimizing F-measure: A Tale of Two Approaches, section 4 (the recurrence).
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from tasks.core.errors import ConfigError, DataError
from tasks.decision.calibration import Calibration

Matrix = NDArray[np.float64]
Scores = NDArray[np.float32]
Decided = NDArray[np.bool_]
Numbers = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]

# What a movie gets if no score reaches its threshold: the genre with the highest score (the first of equals), no genre,
# or the genre of this column.
Fallback = Literal["highest-score", "none"] | Annotated[int, Field(ge=0)]

ROWS_AT_ONCE: Final = 5_000  # bounds the memory for any number of movies
REMEDY: Final = "evaluate the model again"


@dataclass(frozen=True)
class Rule(ABC):
    """Turns scores into genres."""

    kind: ClassVar[str]  # its name in JSON

    @abstractmethod
    def decide(self, scores: Scores) -> Decided:
        """Return which genres each movie gets, independent of the others; scores are (n_movies, n_genres) in [0, 1]."""

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...] | None:  # noqa: ARG002  for rules with thresholds
        """Return the lowest score with which each genre is decided, or None for a rule without thresholds."""
        return None


class ThresholdRule(Rule):
    """Decides the genres that reach their thresholds, else the fallback; none reaches a threshold above 1."""

    fallback: Fallback

    @abstractmethod
    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:
        """See `Rule.genre_thresholds`."""

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        thresholds = self.genre_thresholds(scores.shape[-1])
        check_scores(scores, len(thresholds))
        decided = np.asarray(scores >= np.asarray(thresholds))  # in double precision, as the thresholds were tuned
        empty = np.flatnonzero(~decided.any(axis=1))
        if self.fallback == "highest-score":
            decided[empty, scores[empty].argmax(axis=1)] = True
        elif self.fallback != "none":
            if self.fallback >= len(thresholds):
                what = f"the fallback is genre {self.fallback}, but the rule is for {len(thresholds)} genres"
                raise DataError(f"{what}; {REMEDY}")
            decided[empty, self.fallback] = True
        return decided


@dataclass(frozen=True)
class GlobalThreshold(ThresholdRule):
    """Has one threshold for all genres."""

    kind: ClassVar[str] = "global-threshold"
    threshold: FiniteFloat
    fallback: Fallback = "highest-score"

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:
        """See `Rule.genre_thresholds`."""
        return (self.threshold,) * n_genres


@dataclass(frozen=True)
class PerGenreThresholds(ThresholdRule):
    """Has a threshold for each genre."""

    kind: ClassVar[str] = "per-genre-thresholds"
    thresholds: Numbers
    fallback: Fallback = "highest-score"

    def genre_thresholds(self, n_genres: int) -> tuple[float, ...]:  # noqa: ARG002  the rule has its own number
        """See `Rule.genre_thresholds`."""
        return self.thresholds


@dataclass(frozen=True)
class TopGenres(Rule):
    """Decides the `count` genres with the highest scores, the first in genre order on ties."""

    kind: ClassVar[str] = "top-genres"
    count: Annotated[int, Field(ge=1)]

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        check_scores(scores, scores.shape[-1])
        order = np.argsort(-scores, axis=1, kind="stable")
        decided = np.zeros(scores.shape, dtype=np.bool_)
        np.put_along_axis(decided, order[:, : self.count], values=True, axis=1)
        return decided


@dataclass(frozen=True)
class ExpectedSet(Rule):
    """Decides for each movie the set of genres with the greatest expected value of a metric, by calibrated scores.

    It has the most probable genres (the first in genre order on ties) and is the smallest on ties.
    """

    slopes: Numbers  # of the calibration
    intercepts: Numbers

    def __post_init__(self) -> None:
        if len(self.slopes) != len(self.intercepts):
            raise ValueError("slopes and intercepts must be of the same length")

    @staticmethod
    @abstractmethod
    def expected(probabilities: Matrix) -> Matrix:
        """Return the expected metric of each movie's k most probable genres, (n_movies, n_genres), column k - 1 for k.

        Each row of `probabilities` is in descending order.
        """

    def decide(self, scores: Scores) -> Decided:
        """See `Rule.decide`."""
        calibration = Calibration(self.slopes, self.intercepts)
        check_scores(scores, len(self.slopes))
        decided = np.zeros(scores.shape, dtype=np.bool_)
        for start in range(0, len(scores), ROWS_AT_ONCE):
            probabilities = calibration.apply(scores[start : start + ROWS_AT_ONCE])
            order = np.argsort(-probabilities, axis=1, kind="stable")
            by_size = self.expected(np.take_along_axis(probabilities, order, axis=1))
            chosen = np.arange(scores.shape[1]) <= by_size.argmax(axis=1)[:, None]
            np.put_along_axis(decided[start : start + ROWS_AT_ONCE], order, chosen, axis=1)
        return decided


@dataclass(frozen=True)
class ExpectedJaccardSet(ExpectedSet):
    """Decides the set with the greatest expected Jaccard, H / (k + M)."""

    kind: ClassVar[str] = "expected-jaccard-set"

    @staticmethod
    def expected(probabilities: Matrix) -> Matrix:
        """Return E[H] E[1 / (k + M)] for each k, with E[H] = p_1 + ... + p_k. Cost: n_movies * n_genres²."""
        result = probabilities.cumsum(axis=1)
        for k, inverse in _mean_inverses(probabilities):
            result[:, k - 1] *= inverse[k - 1]
        return np.asarray(result)


@dataclass(frozen=True)
class ExpectedF1Set(ExpectedSet):
    """Decides the set with the greatest expected F1 of the movie, 2 H / (k + H + M)."""

    kind: ClassVar[str] = "expected-f1-set"

    @staticmethod
    def expected(probabilities: Matrix) -> Matrix:
        """Return for each k the sum over h of P(H = h) 2 h E[1 / (k + h + M)]."""
        n_movies, n_genres = probabilities.shape
        hits = np.zeros((n_genres + 1, n_genres + 1, n_movies))  # [k, h]: P(H = h), for the k most probable genres
        hits[0, 0] = 1
        for k, p in enumerate(probabilities.T, start=1):
            hits[k] = hits[k - 1] * (1 - p)
            hits[k, 1:] += hits[k - 1, :-1] * p
        result = np.zeros((n_movies, n_genres))
        for k, inverse in _mean_inverses(probabilities):
            for h in range(1, k + 1):
                result[:, k - 1] += 2 * h * hits[k, h] * inverse[k + h - 1]
        return result


def _mean_inverses(probabilities: Matrix) -> Iterator[tuple[int, Matrix]]:
    """Yield k = n_genres ... 1, with E[1 / (l + M)] for l = 1 ... 2 k (rows) and each movie (columns)."""
    n_movies, n_genres = probabilities.shape
    inverse = np.repeat(1 / np.arange(1.0, 2 * n_genres + 1)[:, None], n_movies, axis=1)
    for k in range(n_genres, 0, -1):
        yield k, inverse
        p = probabilities[:, k - 1]
        inverse = p * inverse[1 : 2 * k - 1] + (1 - p) * inverse[: 2 * k - 2]


def check_scores(scores: Scores, n_genres: int) -> None:
    """Raise a `DataError`, which names row and genre, unless scores are (n_movies, n_genres) in [0, 1]."""
    if scores.ndim != 2 or scores.shape[1] != n_genres:
        raise DataError(f"scores have shape {scores.shape}, but the rule is for {n_genres} genres; {REMEDY}")
    wrong = np.argwhere(~((scores >= 0) & (scores <= 1)))
    if len(wrong):
        row, genre = wrong[0]
        raise DataError(
            f"row {row}, genre {genre}: the score {scores[row, genre]} is not in [0, 1]; fix the model that made it"
        )


Thresholds = GlobalThreshold | PerGenreThresholds


def parse_rule(text: str, stored: Mapping[str, Rule], genres: Sequence[str]) -> Rule:
    """Return the rule that a text names or describes.

    - `per-genre`: the stored rule of this name.
    - `threshold=0.3`: one threshold for all genres.
    - `top=2`: the two highest scores.
    - `Drama=0.6,Horror=0.3`: these thresholds; the other genres keep those of the stored rule `per-genre`, or of what
      comes before: `per-genre-f1,Drama=0.6`, `threshold=0.5,Drama=0.6`.
    - `fallback=none` after any of these that have thresholds: what a movie gets if no score reaches its threshold;
      `highest-score`, `none` or the name of a genre.

    Spaces around names and numbers are ignored, and so is the case of genres, unless two genres differ only in case.
    `genres` are in the order of the scores' columns. For any other text a `ConfigError` lists what is available.
    """
    items = [item.strip() for item in text.split(",")]
    if len(items) == 1 and items[0] in stored:
        return stored[items[0]]
    named = None if "=" in items[0] else items.pop(0)
    given = _read_settings(items, genres)
    count, threshold = given.pop("top", None), given.pop("threshold", None)
    if (named, count, threshold).count(None) < 2 or (count is not None and given):
        raise ConfigError(
            f"rule {text!r}: give only one of a rule's name, threshold and top, and nothing else with top"
        )
    if count is not None:
        if count not in map(str, range(1, len(genres) + 1)):
            raise ConfigError(f"rule: top must be a whole number from 1 to {len(genres)}, not {count!r}")
        return TopGenres(int(count))
    if threshold is not None:
        return _changed(GlobalThreshold(_read_threshold("threshold", threshold)), given, genres)
    return _changed(_stored_thresholds("per-genre" if named is None else named, stored, genres), given, genres)


def _read_settings(items: Sequence[str], genres: Sequence[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for item in items:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ConfigError(f"rule: {item!r} is not NAME=VALUE; give {_forms(genres)}")
        name = _find(key, ("threshold", "top", "fallback", *genres))
        if name is None:
            raise ConfigError(f"rule: {_no_genre(key, genres)}; threshold, top and fallback are allowed, too")
        if name in settings:
            raise ConfigError(f"rule: {name} is given twice")
        settings[name] = value
    return settings


def _find(text: str, names: Iterable[str]) -> str | None:
    """Return the name that a text gives, in any case unless it is exactly one of the names."""
    known = dict.fromkeys(names)
    return text if text in known else {name.casefold(): name for name in known}.get(text.casefold())


def _stored_thresholds(name: str, stored: Mapping[str, Rule], genres: Sequence[str]) -> Thresholds:
    rule = stored.get(name)
    if rule is None:
        near = get_close_matches(name, stored, n=1)
        hint = f", did you mean {near[0]}?" if near else ";"
        raise ConfigError(f"no rule is named {name!r}{hint} there are: {', '.join(stored)}; or give {_forms(genres)}")
    if not isinstance(rule, Thresholds):
        having = [name for name, each in stored.items() if isinstance(each, Thresholds)]
        raise ConfigError(f"the rule {name!r} has no thresholds to change; there are: {', '.join(having)}")
    return rule


def _changed(rule: Thresholds, given: dict[str, str], genres: Sequence[str]) -> Thresholds:
    text = given.pop("fallback", None)
    if text is not None:
        fallbacks: dict[str, Fallback] = {genre: column for column, genre in enumerate(genres)}
        fallbacks |= {"highest-score": "highest-score", "none": "none"}
        found = _find(text, fallbacks)
        if found is None:
            raise ConfigError(f"rule: fallback must be highest-score, none or a genre; {_no_genre(text, genres)}")
        rule = replace(rule, fallback=fallbacks[found])
    changed = {genre: _read_threshold(genre, value) for genre, value in given.items()}
    if not changed:
        return rule
    before = zip(genres, rule.genre_thresholds(len(genres)), strict=True)
    return PerGenreThresholds(tuple(changed.get(genre, threshold) for genre, threshold in before), rule.fallback)


def _read_threshold(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ConfigError(f"rule: {name} must be a number from 0 to 1, not {text!r}")
    return value


def _no_genre(name: str, genres: Sequence[str]) -> str:
    near = get_close_matches(name.capitalize(), genres, n=1)
    return f"no genre is named {name!r}{f', did you mean {near[0]}?' if near else ';'} there are: {', '.join(genres)}"


def _forms(genres: Sequence[str]) -> str:
    return f"threshold=0.3, top=2, or thresholds by genre, such as {genres[0]}=0.6"


def rules_to_json(rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return named rules as plain JSON values, in their order."""
    return {name: {"kind": rule.kind, **json.loads(json.dumps(asdict(rule)))} for name, rule in rules.items()}


def rules_from_json(stored: object) -> dict[str, Rule]:
    """Return rules from the output of `rules_to_json`; a `DataError` names the rule and field of anything else."""
    if not isinstance(stored, dict) or not stored:
        raise DataError(f"decision rules: expected an object with a field for each rule, not {stored!r}; {REMEDY}")
    return {str(name): _read_rule(f"decision rule {name!r}", values) for name, values in stored.items()}


def _read_rule(where: str, values: object) -> Rule:
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object, not {values!r}; {REMEDY}")
    known = (GlobalThreshold, PerGenreThresholds, TopGenres, ExpectedJaccardSet, ExpectedF1Set)
    rule_class = next((each for each in known if each.kind == values.get("kind")), None)
    if rule_class is None:
        raise DataError(f"{where}: unknown kind {values.get('kind')!r}; {REMEDY}")
    try:
        return TypeAdapter(rule_class).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = f"{first['loc'][0]}: " if first["loc"] else ""
        raise DataError(f"{where}: {field}{first['msg']}; {REMEDY}") from error
