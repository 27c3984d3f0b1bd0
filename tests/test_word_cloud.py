from itertools import combinations

from PIL import ImageFont

from tasks.core.figures import CLOUD_HEIGHT, CLOUD_WIDTH, PlacedWord, font_file, place_words

WEIGHTS = {f"{stem}{number}": 40.0 - number for number, stem in enumerate(["jumping", "moon", "ACE", "übergroß"] * 6)}


def box_of(placed: PlacedWord) -> tuple[float, float, float, float]:
    font = ImageFont.truetype(str(font_file()), placed.size)
    left, top, right, bottom = font.getbbox(placed.word, anchor="ls")
    return placed.left + left, placed.baseline + top, placed.left + right, placed.baseline + bottom


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
