"""Clouds of words. Owns where the words stand and how they are drawn; knows not what makes a word weigh more.

A foundation: the exploration draws what the data tell, the report what a model learnt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from math import ceil
from random import Random
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import ImageFont
from wordcloud.wordcloud import IntegralOccupancyMap

from tasks.picture import BLUE, INK, VERMILION, drawable, font_file

CLOUD_WIDTH, CLOUD_HEIGHT = 360, 230  # units of PlacedWord
LARGEST, SMALLEST, GAP = 52, 15, 4
COLUMNS: Final = 3

_UNIT_IN: Final = 2.45 / CLOUD_WIDTH
_COLOURS: Final = (BLUE, VERMILION, "#00735A", INK)  # dark enough on white for small words


@dataclass(frozen=True)
class PlacedWord:
    """A word's place in a cloud: left end of its baseline from the upper left corner, and its font's size."""

    word: str
    left: float
    baseline: float
    size: float


def place_words(weights: dict[str, float], seed: int) -> list[PlacedWord]:
    """Arrange words in a cloud, larger ones for higher weights, none over another; what finds no room is left out.

    Only wordcloud's search for free places is used: its own arrangement measures words from the top of their letters
    but draws them from the top of the line, so that low ones run into each other.
    """
    places, chance = IntegralOccupancyMap(CLOUD_HEIGHT, CLOUD_WIDTH, None), Random(seed)  # noqa: S311  no secret
    taken = np.zeros((CLOUD_HEIGHT, CLOUD_WIDTH), dtype=np.uint8)
    placed = []
    highest = max(weights.values(), default=1.0)
    for word, weight in sorted(weights.items(), key=lambda item: (-item[1], item[0])):
        for size in range(max(round(LARGEST * (weight / highest) ** 0.5), SMALLEST), SMALLEST - 1, -2):
            left, top, right, bottom = _font(size).getbbox(word, anchor="ls")
            height, width = ceil(bottom - top) + 2 * GAP, ceil(right - left) + 2 * GAP
            corner = places.sample_position(height, width, chance)
            if corner is not None:
                row, column = corner
                taken[row : row + height, column : column + width] = 255
                places.update(taken, row, column)
                placed.append(PlacedWord(word, column + GAP - left, row + GAP - top, size))
                break
    return placed


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_file()), size)


def draw_clouds(clouds: Mapping[str, list[PlacedWord]]) -> Figure:
    """Draw one small cloud of words for each genre."""
    width, height = CLOUD_WIDTH + 22, CLOUD_HEIGHT + 50  # with the title above
    rows = max(ceil(len(clouds) / COLUMNS), 1)
    figure = Figure(figsize=(COLUMNS * width * _UNIT_IN, rows * height * _UNIT_IN))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, COLUMNS * width), ylim=(rows * height, 0))
    axes.set_axis_off()
    for index, (genre, words) in enumerate(clouds.items()):
        corner = (index % COLUMNS * width + 11, index // COLUMNS * height + 44)
        _draw_cloud(axes, corner, genre, words)
    return figure


def _draw_cloud(axes: Axes, corner: tuple[int, int], genre: str, words: list[PlacedWord]) -> None:
    left, top = corner
    axes.add_patch(Rectangle(corner, CLOUD_WIDTH, CLOUD_HEIGHT, fill=False, edgecolor="#DDDDDD"))
    axes.text(left, top - 8, drawable(genre), fontsize=10, fontweight="bold")
    for word, colour in zip(words, cycle(_COLOURS), strict=False):
        size_pt = word.size * _UNIT_IN * 72
        axes.text(left + word.left, top + word.baseline, word.word, fontsize=size_pt, color=colour)
    if not words:
        axes.text(left + CLOUD_WIDTH / 2, top + CLOUD_HEIGHT / 2, "too few words", ha="center", color="#767676")
