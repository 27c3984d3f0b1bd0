import random
from collections import Counter

import pytest

from tasks.acquire.sample import GENRE_FILES, GenreSets, sample_words
from tasks.core.schema import GENRES

GENRE_SHARES = sample_words().genre_shares
SETS = GenreSets()


def test_every_share_is_met() -> None:
    shares: Counter[str] = Counter()
    for genres, probability in zip(SETS.sets, SETS.probabilities, strict=True):
        shares.update(dict.fromkeys(genres, float(probability)))
    assert sorted(shares) == list(GENRES)
    assert shares == pytest.approx(GENRE_SHARES, abs=1e-4)
    assert (GENRE_SHARES["Drama"], GENRE_SHARES["Western"]) == (0.5, 0.005)
    assert shares.total() == pytest.approx(2.3, abs=0.05)


def test_every_movie_is_listed_somewhere_and_genres_keep_their_company() -> None:
    probability = dict(zip(SETS.sets, SETS.probabilities, strict=True))
    assert all(any(genre in GENRE_FILES for genre in genres) for genres in SETS.sets)
    assert {len(genres) for genres in SETS.sets} == {1, 2, 3}
    assert probability["History", "War"] > 5 * probability["Sport", "War"]
    assert probability["Animation", "Film-Noir"] == 0


def test_draws_follow_the_probabilities() -> None:
    drawn = Counter(genre for _ in range(4000) for genre in SETS.draw(random.Random(_).random))
    assert drawn["Drama"] / 4000 == pytest.approx(0.5, abs=0.03)
    assert SETS.draw(lambda: 0.0) == SETS.sets[0]
    assert SETS.draw(lambda: 1 - 2**-53) in SETS.sets
