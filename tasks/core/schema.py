"""Column names, polars schemas, genres and typed names: the form of the data between stages."""

from typing import Final, NewType

import polars as pl

MovieId = NewType("MovieId", str)
Genre = NewType("Genre", str)
ModelName = NewType("ModelName", str)

DEFAULT_SEED: Final = 42069
MOVIE_ID_PATTERN: Final = r"^[A-Za-z0-9_.:-]+$"  # CoNLL-U sentence ids begin with it: no space or slash

# The 14 columns of the Kaggle set `rajugc/imdb-movies-dataset-based-on-genre`, in its order.
RAW_COLUMNS: Final = (
    "movie_id", "movie_name", "year", "certificate", "runtime", "genre", "rating", "description", "director",
    "director_id", "star", "star_id", "votes", "gross(in $)",
)  # fmt: skip
REQUIRED_RAW_COLUMNS: Final = ("movie_id", "movie_name", "genre", "description")

# The genres that are left after cleaning; the excluded ones are those of the earlier system.
GENRES: Final = tuple(
    Genre(name)
    for name in (
        "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Drama", "Family", "Fantasy", "Film-Noir",
        "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sci-Fi", "Sport", "Thriller", "War", "Western",
    )
)  # fmt: skip
EXCLUDED_GENRES: Final = ("Reality-TV", "News", "Adult", "Talk-Show", "Game-Show", "Short")

# data/clean/movies.parquet, sorted by movie_id, one row per movie.
MOVIES: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "movie_name": pl.String(),
        "description": pl.String(),
        "genres": pl.List(pl.String()),  # sorted, never empty
        "description_source": pl.String(),  # "listing", "crawl" or "import"
        "is_truncated": pl.Boolean(),  # whether its source cut the description off
        "text_group": pl.String(),  # id of the first movie with the same or nearly the same text, often its own
        "year": pl.Int32(),
        "certificate": pl.String(),
        "runtime_min": pl.Int32(),
        "rating": pl.Float64(),
        "votes": pl.Int64(),
        "directors": pl.List(pl.String()),
        "stars": pl.List(pl.String()),
        "own_fields": pl.List(pl.String()),  # "name=value" of other columns of a user's own table
    }
)

# data/conllu/movies.parquet, in the order of data/clean/movies.parquet.
TOKENS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "genres": pl.List(pl.String()),
        "tokens": pl.List(pl.String()),  # forms of all sentences, in order
        "lemmas": pl.List(pl.String()),  # as many as tokens
        "n_sentences": pl.Int32(),
    }
)

# data/split/splits.parquet, in the order of data/clean/movies.parquet.
PARTS: Final = ("train", "validation", "test")
N_FOLDS: Final = 5
SPLITS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "part": pl.Enum(PARTS),
        "is_development": pl.Boolean(),  # a stratified tenth of train, for quick experiments
        "fold": pl.Int8(),  # 0 to N_FOLDS - 1, stratified within each part
    }
)

# data/models/<name>/predictions_test.parquet, in the order of the model's scores.
PREDICTIONS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "true_genres": pl.List(pl.String()),  # sorted
        "predicted_genres": pl.List(pl.String()),  # by the chosen decision rule, in genre order
        "jaccard": pl.Float64(),  # null for a movie without a true genre
    }
)

# data/results/exhibits.parquet: the test movies that the report shows, by role and rank.
ROLES: Final = ("good", "bad", "disagreement", "impossible", "doubtful")
EXHIBITS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "role": pl.String(),  # one of ROLES
        "rank": pl.Int64(),  # from 1 within a role, the best example first
    }
)

# data/models/<name>/explanations.parquet: what each piece of a movie adds to the log-odds of a genre. For a movie and
# genre, the contributions sum to value - base.
EXPLANATIONS: Final = pl.Schema(
    {
        "movie_id": pl.String(),
        "genre": pl.String(),
        "method": pl.String(),  # "exact", "integrated-gradients", "shapley", or "mixed" of several
        "base": pl.Float64(),  # log-odds of the genre when nothing of the movie is known
        "value": pl.Float64(),  # log-odds of the score
        # "movie_name", "description", "director", "star", "certificate", "year", "runtime", the name of an own
        # field, or "rest" for what belongs to no piece
        "source": pl.String(),
        "start": pl.Int32(),  # of the piece in that text of the movie; null if it is not a span of it
        "end": pl.Int32(),  # the character after the last one
        "piece": pl.String(),  # the text; empty for the rest
        "contribution": pl.Float64(),  # log-odds
    }
)

# data/models/<name>/importance.parquet: the mean effect of features on a genre.
IMPORTANCE: Final = pl.Schema(
    {
        "genre": pl.String(),
        "kind": pl.String(),  # "word", "characters", "field"
        "feature": pl.String(),  # as people read it
        "weight": pl.Float64(),  # mean contribution, log-odds, over the movies that have it
        "movies": pl.Int64(),  # how many of the explained movies have it
    }
)
