from itertools import combinations

import polars as pl
from PIL import ImageFont

from tasks.explore.words import CLOUD_HEIGHT, CLOUD_WIDTH, PlacedWord, place_words, weigh_words
from tasks.picture import font_file

MOVIES = pl.DataFrame(
    {
        "genres": [["Western"]] * 70 + [["Horror"]] * 70,
        "description": ["The sheriff rides the horse on a quiet day"] * 70
        + ["The ghost haunts a house on a quiet day"] * 70,
    }
)
WEIGHTS = {f"{stem}{number}": 40.0 - number for number, stem in enumerate(["jumping", "moon", "ACE", "übergroß"] * 6)}


def box_of(placed: PlacedWord) -> tuple[float, float, float, float]:
    font = ImageFont.truetype(str(font_file()), placed.size)
    left, top, right, bottom = font.getbbox(placed.word, anchor="ls")
    return placed.left + left, placed.baseline + top, placed.left + right, placed.baseline + bottom


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


def test_placed_words_stay_inside_and_apart() -> None:
    boxes = [box_of(word) for word in place_words(WEIGHTS, seed=1)]
    assert len(boxes) > 8
    assert all(
        left >= 0 and top >= 0 and right <= CLOUD_WIDTH and bottom <= CLOUD_HEIGHT for left, top, right, bottom in boxes
    )
    for (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) in combinations(boxes, 2):
        assert right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top


def test_places_depend_on_the_seed_alone() -> None:
    assert place_words(WEIGHTS, seed=1) == place_words(dict(reversed(WEIGHTS.items())), seed=1)
    assert place_words(WEIGHTS, seed=1) != place_words(WEIGHTS, seed=2)


def test_no_words_make_an_empty_cloud() -> None:
    assert place_words({}, seed=1) == []
