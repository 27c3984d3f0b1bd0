from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from tasks.core.figures import (
    ALL_FORMS,
    COLOUR_SCALE,
    LONGEST_LABEL,
    draw_bars,
    draw_heat_map,
    drawable,
    label_dots,
    new_figure,
    relative_luminance,
    short_number,
    text_colour,
    write_picture,
)


def draw(rows: int) -> Figure:
    figure = new_figure(4, 3)
    bars, heat = figure.subplots(2, 1)
    draw_bars(bars, [f"$row {row}$" for row in range(rows)], list(range(rows)), ["note"] * rows)
    draw_heat_map(heat, np.array([[0.0, np.nan], [12.0, 3000.0]]), ["a", "b"], ["c", "d"], logarithmic=True)
    return figure


def test_pictures_are_the_same_from_any_thread_and_under_any_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    for rows in range(1, 5):
        write_picture(alone, str(rows), partial(draw, rows), ALL_FORMS)
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    monkeypatch.setitem(mpl.rcParams, "svg.hashsalt", "other")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda rows: write_picture(together, str(rows), partial(draw, rows), ALL_FORMS), range(1, 5)))
    written = {path.name: path.read_bytes() for path in alone.iterdir()}
    assert len(written) == 8
    assert written == {path.name: path.read_bytes() for path in together.iterdir()}
    assert mpl.rcParams["font.size"] == 30
    assert b"dc:date" not in written["1.svg"]


@pytest.mark.parametrize("note", ["7", "1,698  (7.4%)", "12,345,678,901  (100.0%)"])
def test_the_longest_bar_leaves_room_for_its_note(tmp_path: Path, note: str) -> None:
    def draw_noted() -> Figure:
        figure = new_figure(5.6, 3)
        draw_bars(figure.add_subplot(), ["Adventure + Animation + Comedy"] * 3, [1698, 1379, 183], [note] * 3)
        return figure

    write_picture(tmp_path, "bars", draw_noted, ["png"])
    margin = imread(tmp_path / "bars.png")[:, -4:, :3]
    assert (margin == 1).all(), "ink at the right edge"


@given(st.text())
def test_labels_are_short_single_lines_that_can_be_drawn(text: str) -> None:
    label = drawable(text)
    assert len(label) <= LONGEST_LABEL
    assert "\n" not in label
    assert drawable(label) == label


@given(st.floats(0, 9e8))
def test_short_numbers_are_short(value: float) -> None:
    assert 1 <= len(short_number(value)) <= 4


def test_numbers_in_cells_can_be_read_on_every_colour_of_the_scale() -> None:
    assert (relative_luminance("black"), round(relative_luminance("white"), 6)) == (0, 1)
    scale = mpl.colormaps[COLOUR_SCALE]
    assert (text_colour(scale(0.0)), text_colour(scale(1.0))) == ("black", "white")
    for share in np.linspace(0, 1, 256):
        pair = [relative_luminance(colour) for colour in (scale(float(share)), text_colour(scale(float(share))))]
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5


@pytest.mark.parametrize("n_dots", [0, 1, 25])
def test_labels_of_dots_hide_no_other_label_and_have_the_same_places_each_time(n_dots: int) -> None:
    def place() -> list[Text]:
        random = np.random.default_rng(1)
        axes = new_figure(8.6, 4.6).add_subplot(xscale="log", xlim=(1e2, 1e6), ylim=(0.3, 0.6))
        x, y = 10 ** random.uniform(2.5, 5, n_dots), random.normal(0.45, 0.03, n_dots)
        x[-2:], y[-2:] = 1e5, 0.45  # the last two are equal
        dots = axes.scatter(x, y)
        return label_dots(axes, dots, [f"a-model-{number}" for number in range(n_dots)], ["a-model-0"])

    texts = place()
    assert [text.get_text() for text in texts] == [f"a-model-{number}" for number in range(n_dots)]
    assert [text.get_fontweight() for text in texts[:2]] == ["bold", "normal"][:n_dots]
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    frames = [axes.get_window_extent() for text in texts if (axes := text.axes)]
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for frame, box in zip(frames, boxes, strict=True))
    assert [text.get_position() for text in texts] == [text.get_position() for text in place()]
