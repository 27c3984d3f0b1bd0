"""Pictures as files: one style, SVG or PNG, the same bytes each time.

Matplotlib keeps its style and fonts in global state, so pictures are drawn one at a time under a lock, without pyplot.
Blue means models and counts, green right, vermilion wrong, orange a highlight.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import cycle
from math import ceil
from operator import call
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

import joblib
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.typing import ColorType
from numpy.typing import NDArray
from PIL import ImageFont
from wordcloud import WordCloud

from tasks.core.parallel import map_in_order

# Source: Okabe and Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/
BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
ORANGE: Final = "#E69F00"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
GREY: Final = "#BFBFBF"
INK: Final = "#222222"
MUTED: Final = "#666666"  # dark enough on white for text
PAPER_TINT: Final = "#EEEEEE"

Form = Literal["svg", "png"]
SVG_ONLY: Final[tuple[Form, ...]] = ("svg",)  # what the pages show
ALL_FORMS: Final[tuple[Form, ...]] = ("svg", "png")

COLOUR_SCALE: Final = "Blues"  # one hue from white to dark, so that lightness alone shows the value
LONGEST_LABEL: Final = 44
LONGEST_NAME: Final = 30
CLOUD_WIDTH, CLOUD_HEIGHT = 400, 260
COLUMNS: Final = 3  # of clouds

_STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "genreflow",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a dollar sign in a movie's name is not a formula
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "legend.frameon": False,
}
_CELL: Final[dict[str, Any]] = {"ha": "center", "va": "center", "fontsize": 7, "in_layout": False}
_drawing = Lock()


def write_pictures(folder: Path, draws: Mapping[str, Callable[[], Figure]], forms: Sequence[Form] = SVG_ONLY) -> None:
    """Write several pictures as `write_picture` does, in parallel processes on all cores."""
    writes = [partial(write_picture, folder, name, draw, forms) for name, draw in draws.items()]
    list(map_in_order(call, writes, joblib.cpu_count()))


def write_picture(folder: Path, name: str, draw: Callable[[], Figure], forms: Sequence[Form] = SVG_ONLY) -> None:
    """Write the figure of `draw`, in the project's style, as `<name>.<form>` in each form; safe in parallel threads."""
    with _drawing, mpl.rc_context():
        mpl.rcdefaults()  # ignore the user's matplotlibrc
        mpl.rcParams.update(_STYLE)
        figure = draw()
        # Straight from the canvases: `savefig` draws everything twice, to measure first what is not cropped anyway.
        # (Both methods are public, but matplotlib has left them without types.)
        if "svg" in forms:
            facts: dict[str, None] = {"Date": None, "Creator": None}
            FigureCanvasSVG(figure).print_svg(folder / f"{name}.svg", metadata=facts)  # type: ignore[no-untyped-call]
            figure.set_layout_engine("none")  # the layout is found; finding it again takes as long as drawing
        if "png" in forms:
            figure.dpi = 150
            facts = {"Software": None}
            FigureCanvasAgg(figure).print_png(folder / f"{name}.png", metadata=facts)  # type: ignore[no-untyped-call]


def picture_files(names: Sequence[str], forms: Sequence[Form] = SVG_ONLY) -> tuple[str, ...]:
    """Return the names of the files that `write_picture` writes, in order.

    >>> picture_files(["genres"], ALL_FORMS)
    ('genres.svg', 'genres.png')
    """
    return tuple(f"{name}.{form}" for name in names for form in forms)


def drawable(text: str, longest: int = LONGEST_LABEL) -> str:
    """Return text as one short line that the font can draw: other characters become `?`, long text ends in `…`."""
    line = " ".join(text.split())
    short = line if len(line) <= longest else line[: longest - 1].rstrip() + "…"
    return "".join(character if ord(character) in _font_characters() else "?" for character in short)


def font_file() -> str:
    """Return the font of all pictures, which comes with matplotlib."""
    return f"{mpl.get_data_path()}/fonts/ttf/DejaVuSans.ttf"


@cache
def _font_characters() -> frozenset[int]:
    return frozenset(get_font(font_file()).get_charmap())


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that keeps labels apart and has room for them even if it shows little."""
    return Figure(figsize=(max(width_in, 4.2), max(height_in, 2.2)), layout="constrained")


def draw_bars(axes: Axes, labels: Sequence[str], values: Sequence[float], notes: Sequence[str]) -> None:
    """Draw horizontal bars from top to bottom, each with a note at its end instead of an axis."""
    bars = axes.barh(np.arange(len(labels)), values, color=BLUE, height=0.72)
    axes.bar_label(bars, notes, padding=4, fontsize=9)
    name_rows(axes, labels)
    axes.set_xlim(0, max([*values, 1e-9]))  # the layout makes room for the notes
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def draw_shares(figure: Figure, labels: Sequence[str], parts: Mapping[str, tuple[str, Sequence[float]]]) -> Axes:
    """Draw rows, from top to bottom, as full bars of shares with their counts, and a legend above.

    `parts` has by title a colour and the count of each row.
    """
    axes = figure.add_subplot(xlim=(0, 100))
    counts = np.array([values for _, values in parts.values()], dtype=np.float64)
    shares = 100 * counts / np.maximum(counts.sum(axis=0), 1)
    rows, left = np.arange(len(labels)), np.cumsum(shares, axis=0) - shares
    for part, (title, (colour, _)) in enumerate(parts.items()):
        bars = axes.barh(rows, shares[part], left=left[part], color=colour, height=0.76, label=title)
        texts = [f"{count:,.0f}" if share >= 6 else "" for count, share in zip(counts[part], shares[part], strict=True)]
        axes.bar_label(bars, texts, label_type="center", fontsize=8, color=text_colour(colour))
    name_rows(axes, labels)
    figure.legend(loc="outside upper left", ncols=3, fontsize=9)
    return axes


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Label the rows 0, 1, ... of an axis, the first one on top."""
    axes.set_yticks(range(len(labels)), [drawable(label) for label in labels])
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def draw_heat_map(
    axes: Axes, values: NDArray[np.floating], rows: Sequence[str], columns: Sequence[str], *, logarithmic: bool = False
) -> None:
    """Draw (rows × columns) numbers of at least 0 as coloured cells with rounded numbers; column names go on top.

    A zero is white and without a number, NaN is grey. `logarithmic` colours suit counts of very different size.
    """
    if not values.size:
        axes.text(0.5, 0.5, "nothing to show", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    highest = float(np.nanmax(values, initial=1.0))
    norm = LogNorm(0.8, max(highest, 2.0)) if logarithmic else Normalize(0, highest)
    shown = np.ma.masked_invalid(np.maximum(values, 0.8) if logarithmic else values)
    axes.pcolormesh(shown, cmap=COLOUR_SCALE, norm=norm, edgecolors=PAPER_TINT, linewidth=0.6)
    axes.set_facecolor("#DDDDDD")
    for (row, column), value in np.ndenumerate(values):
        if value > 0:
            colour = text_colour(mpl.colormaps[COLOUR_SCALE](float(norm(value))))
            axes.text(column + 0.5, row + 0.5, short_number(float(value)), color=colour, **_CELL)
    row_names, column_names = ([drawable(name, 22) for name in names] for names in (rows, columns))
    axes.set_xticks(np.arange(len(columns)) + 0.5, column_names, rotation=90)
    axes.set_yticks(np.arange(len(rows)) + 0.5, row_names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.spines[:].set_visible(False)


def text_colour(background: ColorType) -> str:
    """Return black or white, whichever contrasts more with the background; 4.5 or more on every colour of the scale.

    Source: "Contrast ratio" of WCAG 2.2.
    """
    light = relative_luminance(background)
    return "white" if (1 + 0.05) / (light + 0.05) > (light + 0.05) / 0.05 else "black"


def relative_luminance(colour: ColorType) -> float:
    """Return the perceived brightness of a colour, 0 (black) to 1 (white). Source: "Relative luminance" of WCAG 2.2."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def short_number(value: float) -> str:
    """Write a number of at least 0 in at most four characters, if possible.

    >>> [short_number(value) for value in (0, 0.4, 7, 812, 1840, 23_400, 1_200_000)]
    ['0', '<1', '7', '812', '1.8k', '23k', '1.2M']
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.{1 if value / size < 9.95 else 0}f}{letter}"
    return "<1" if 0 < value < 0.5 else f"{value:.0f}"


def label_dots(axes: Axes, dots: PathCollection, labels: Sequence[str], bold: Sequence[str] = ()) -> list[Text]:
    """Label the dots of a scatter plot, some in `bold`, without overlap; the axes must have their final limits."""
    from adjustText import adjust_text  # noqa: PLC0415  it loads pyplot

    texts = []
    for (x, y), label in zip(np.asarray(dots.get_offsets()), labels, strict=True):
        look: dict[str, Any] = {"color": INK, "weight": "bold"} if label in bold else {"color": MUTED}
        texts.append(axes.text(x, y, drawable(label, LONGEST_NAME), fontsize=7.5, in_layout=False, **look))
    # Stopped by a number of steps, since a time limit would make places depend on the machine. Stronger forces and
    # wider margins than the defaults, which leave labels on dots where 25 models crowd.
    forces = {"force_text": (0.2, 0.4), "force_static": (0.2, 0.4), "expand": (1.1, 1.4), "iter_lim": 300}
    lines = {"min_arrow_len": 12, "arrowprops": {"arrowstyle": "-", "color": GREY, "linewidth": 0.6}}
    adjust_text(texts, objects=dots, ax=axes, prevent_crossings=False, **forces, **lines)
    return texts


def place_words(weights: Mapping[str, float], seed: int) -> list[tuple[str, float, float, float]]:
    """Arrange words in a cloud of `CLOUD_WIDTH` x `CLOUD_HEIGHT`, larger for higher weights; some may not fit.

    Returns each word, x and y of its middle from the upper left corner, and its font size.
    """
    if not weights:
        return []
    cloud = WordCloud(
        font_path=font_file(), width=CLOUD_WIDTH, height=CLOUD_HEIGHT, margin=8, prefer_horizontal=1,
        min_font_size=14, max_font_size=44, font_step=2, relative_scaling=0.4, random_state=seed,
    )  # fmt: skip
    placed = []
    for (word, _), size, (top, left), _, _ in cloud.generate_from_frequencies(dict(sorted(weights.items()))).layout_:
        # wordcloud reserves a box as high as the word's letters, but blocks one that is lower by their distance to the
        # top of the line. Drawn smaller, in the middle of the box, no word touches another.
        width, height = ImageFont.truetype(font_file(), size).getbbox(word, anchor="lt")[2:]
        placed.append((word, float(left + width / 2), float(top + height / 2), 0.7 * size))
    return placed


def draw_clouds(clouds: Mapping[str, Mapping[str, float]], seed: int) -> Figure:
    """Draw a small cloud for each genre that has words, from weights by genre and word."""
    placed = {genre: words for genre, weights in clouds.items() if (words := place_words(weights, seed))}
    width, height, unit_in = CLOUD_WIDTH + 22, CLOUD_HEIGHT + 50, 2.45 / CLOUD_WIDTH  # with the title above
    rows = max(ceil(len(placed) / COLUMNS), 1)
    figure = Figure(figsize=(COLUMNS * width * unit_in, rows * height * unit_in))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, COLUMNS * width), ylim=(rows * height, 0))
    axes.set_axis_off()
    for index, (genre, words) in enumerate(placed.items()):
        left, top = index % COLUMNS * width + 11, index // COLUMNS * height + 44
        axes.add_patch(Rectangle((left, top), CLOUD_WIDTH, CLOUD_HEIGHT, fill=False, edgecolor="#DDDDDD"))
        axes.text(left, top - 8, drawable(genre), fontsize=10, fontweight="bold")
        for (word, x, y, size), colour in zip(words, cycle((BLUE, INK, MUTED)), strict=False):
            size_pt = size * unit_in * 72
            axes.text(left + x, top + y, word, fontsize=size_pt, color=colour, ha="center", va="center")
    if not placed:
        axes.text(COLUMNS * width / 2, height / 2, "too few words", ha="center", color=MUTED)
    return figure
