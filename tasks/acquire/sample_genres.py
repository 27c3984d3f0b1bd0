"""Which genres the sample's movies have, and which files list them. Owns shares and affinities; knows no text."""

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.schema import GENRES

# The genre of each file of the real set. There is none for Comedy, Drama, Music, Musical and Western.
GENRE_FILES: Final = {
    "Action": "action.csv",
    "Adventure": "adventure.csv",
    "Animation": "animation.csv",
    "Biography": "biography.csv",
    "Crime": "crime.csv",
    "Family": "family.csv",
    "Fantasy": "fantasy.csv",
    "Film-Noir": "film-noir.csv",
    "History": "history.csv",
    "Horror": "horror.csv",
    "Mystery": "mystery.csv",
    "Romance": "romance.csv",
    "Sci-Fi": "scifi.csv",
    "Sport": "sports.csv",
    "Thriller": "thriller.csv",
    "War": "war.csv",
}

# The share of movies that have the genre; together 2.3 genres a movie, as in the real set.
GENRE_SHARES: Final = {
    "Action": 0.20, "Adventure": 0.16, "Animation": 0.11, "Biography": 0.07, "Comedy": 0.20, "Crime": 0.15,
    "Drama": 0.50, "Family": 0.10, "Fantasy": 0.09, "Film-Noir": 0.012, "History": 0.075, "Horror": 0.12,
    "Music": 0.03, "Musical": 0.012, "Mystery": 0.06, "Romance": 0.14, "Sci-Fi": 0.065, "Sport": 0.04,
    "Thriller": 0.15, "War": 0.035, "Western": 0.005,
}  # fmt: skip
SINGLE_GENRE_SHARE: Final = 0.2
MOST_GENRES: Final = 3  # a listing names three at most

# How much more (or less) often two genres meet than chance would have it.
AFFINITIES: Final = {
    ("Action", "Adventure"): 2.5, ("Action", "Animation"): 1.5, ("Action", "Crime"): 3, ("Action", "Romance"): 0.4,
    ("Action", "Sci-Fi"): 2.5, ("Action", "Thriller"): 2, ("Action", "War"): 2, ("Action", "Western"): 3,
    ("Adventure", "Animation"): 3, ("Adventure", "Family"): 2.5, ("Adventure", "Fantasy"): 2.5,
    ("Adventure", "Western"): 2, ("Animation", "Comedy"): 2, ("Animation", "Family"): 4, ("Animation", "Film-Noir"): 0,
    ("Animation", "Horror"): 0.2, ("Animation", "Thriller"): 0.2, ("Biography", "Drama"): 2.5,
    ("Biography", "Fantasy"): 0.1, ("Biography", "History"): 5, ("Biography", "Horror"): 0.1, ("Biography", "Music"): 4,
    ("Biography", "Sci-Fi"): 0.05, ("Biography", "Sport"): 4, ("Biography", "War"): 2, ("Comedy", "Family"): 2,
    ("Comedy", "Horror"): 0.6, ("Comedy", "Musical"): 3, ("Comedy", "Romance"): 3, ("Comedy", "War"): 0.3,
    ("Crime", "Drama"): 1.5, ("Crime", "Family"): 0.1, ("Crime", "Film-Noir"): 10, ("Crime", "Mystery"): 3,
    ("Crime", "Thriller"): 3, ("Drama", "Film-Noir"): 2, ("Drama", "History"): 2, ("Drama", "Romance"): 2.5,
    ("Drama", "War"): 2.5, ("Family", "Fantasy"): 2, ("Family", "Film-Noir"): 0, ("Family", "Horror"): 0.05,
    ("Family", "Thriller"): 0.05, ("Fantasy", "Film-Noir"): 0, ("Fantasy", "Horror"): 1.5, ("Film-Noir", "Mystery"): 4,
    ("Film-Noir", "Sci-Fi"): 0, ("Film-Noir", "Sport"): 0.1, ("Film-Noir", "Thriller"): 3, ("History", "Sci-Fi"): 0.1,
    ("History", "War"): 7, ("Horror", "Mystery"): 3, ("Horror", "Romance"): 0.2, ("Horror", "Sci-Fi"): 2,
    ("Horror", "Sport"): 0.05, ("Horror", "Thriller"): 3, ("Music", "Romance"): 2, ("Musical", "Romance"): 3,
    ("Mystery", "Thriller"): 4, ("Sci-Fi", "Sport"): 0.1, ("Sci-Fi", "Western"): 0.3, ("Sport", "War"): 0.1,
}  # fmt: skip


class GenreSets:
    """Every set of one to three genres that some file lists, with its probability."""

    def __init__(self) -> None:
        self.sets = [
            genres
            for size in range(1, MOST_GENRES + 1)
            for genres in combinations(GENRES, size)
            if not GENRE_FILES.keys().isdisjoint(genres)
        ]
        self.probabilities = _fit_probabilities(self.sets)
        self._bounds = np.cumsum(self.probabilities)[:-1].tolist()

    def draw(self, uniform: Callable[[], float]) -> tuple[str, ...]:
        """Return a random genre set, sorted, from one number in [0, 1)."""
        return self.sets[bisect(self._bounds, uniform())]


def _fit_probabilities(sets: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """Return the probability of each set: affinities first, then fitted so that every share above is met.

    Source: iterative proportional fitting, W. E. Deming and F. F. Stephan, "On a least squares adjustment of a sampled
    frequency table when the expected marginal totals are known", Annals of Mathematical Statistics 11 (1940).
    """
    mean_size = sum(GENRE_SHARES.values())
    largest = mean_size - 2 + SINGLE_GENRE_SHARE
    size_shares = {1: SINGLE_GENRE_SHARE, 2: 1 - SINGLE_GENRE_SHARE - largest, 3: largest}
    margins = [(np.array([genre in genres for genres in sets]), share) for genre, share in GENRE_SHARES.items()]
    margins += [(np.array([len(genres) == size for genres in sets]), share) for size, share in size_shares.items()]
    weights: NDArray[np.float64] = np.array([_affinity(genres) for genres in sets])
    for _ in range(50):
        for has, share in margins:
            inside = weights[has].sum()
            weights *= np.where(has, share / inside, (1 - share) / (weights.sum() - inside))
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def _affinity(genres: tuple[str, ...]) -> float:
    product = 1.0
    for pair in combinations(genres, 2):
        product *= AFFINITIES.get((pair[0], pair[1]), 1.0)
    return product
