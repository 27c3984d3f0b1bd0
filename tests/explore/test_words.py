import polars as pl

from tasks.explore.tables import weigh_words

MOVIES = pl.DataFrame(
    {
        "genres": [["Western"]] * 70 + [["Horror"]] * 70,
        "description": ["The sheriff rides the horse on a quiet day"] * 70
        + ["The ghost haunts a house on a quiet day"] * 70,
    }
)


def test_only_words_that_tell_a_genre_from_the_others_are_kept() -> None:
    words = weigh_words(MOVIES, ["Western", "Horror"], most=10)
    per_genre = {genre: set(rows["word"]) for (genre,), rows in words.group_by("genre")}
    assert per_genre == {"Western": {"sheriff", "rides", "horse"}, "Horror": {"ghost", "haunts", "house"}}
    assert (words["weight"] > 0).all()
    assert words["genre"].unique(maintain_order=True).to_list() == ["Western", "Horror"]


def test_no_more_words_than_asked_for() -> None:
    assert weigh_words(MOVIES, ["Western", "Horror"], most=1).height == 2


def test_a_word_counts_once_a_movie() -> None:
    repeated = MOVIES.with_columns(pl.col("description") + " " + pl.col("description"))
    assert weigh_words(repeated, ["Western"], 9).equals(weigh_words(MOVIES, ["Western"], 9))


def test_a_few_movies_tell_nothing() -> None:
    assert weigh_words(MOVIES.head(2), ["Western"], most=10).is_empty()


def test_one_single_word_in_all_descriptions_tells_nothing() -> None:
    assert weigh_words(MOVIES.with_columns(description=pl.lit("alone")), ["Western"], most=10).is_empty()
