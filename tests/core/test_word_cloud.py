from itertools import combinations

from PIL import ImageFont

from tasks.core.figures import CLOUD_HEIGHT, CLOUD_WIDTH, draw_clouds, font_file, place_words

WEIGHTS = {f"{stem}{number}": 40.0 - number for number, stem in enumerate(["jumping", "moon", "ACE", "übergroß"] * 6)}


def test_placed_words_stay_inside_and_apart() -> None:
    placed = place_words(WEIGHTS, seed=1)
    assert len(placed) > 12
    boxes = []
    for word, x, y, size in placed:
        left, top, right, bottom = ImageFont.truetype(str(font_file()), size).getbbox(word, anchor="ls")
        boxes.append((x - (right - left) / 2, y - (bottom - top) / 2, x + (right - left) / 2, y + (bottom - top) / 2))
    assert all(
        left >= 0 and top >= 0 and right <= CLOUD_WIDTH and bottom <= CLOUD_HEIGHT for left, top, right, bottom in boxes
    )
    for (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) in combinations(boxes, 2):
        assert right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top


def test_places_depend_on_the_seed_alone() -> None:
    assert place_words(WEIGHTS, seed=1) == place_words(dict(reversed(WEIGHTS.items())), seed=1)
    assert place_words(WEIGHTS, seed=1) != place_words(WEIGHTS, seed=2)


def test_empty_clouds_are_not_drawn() -> None:
    assert place_words({}, seed=1) == []
    (axes,) = draw_clouds({"War": {}, "Horror": {"ghost": 2.0}}, seed=1).axes
    assert [text.get_text() for text in axes.texts] == ["Horror", "ghost"]
    (axes,) = draw_clouds({"War": {}}, seed=1).axes
    assert [text.get_text() for text in axes.texts] == ["too few words"]
