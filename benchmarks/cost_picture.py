"""Draw a picture of costs by number of rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARKS = "os^Dv*"


def write_costs(path: Path, title: str, results: Sequence[Mapping[str, Any]], panels: Mapping[str, str]) -> None:
    """Draw each way's costs against the rows, both axes logarithmic, as SVG and PNG.

    Args:
        path: of the files, with or without a suffix.
        title: what was done.
        results: `way`, `rows` and the costs, one for each method and size; methods keep their order.
        panels: the key of each cost to draw, and its label.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - only where it is asked for
    from matplotlib.ticker import NullFormatter  # noqa: PLC0415

    from tasks.core.figures import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, new_figure, write_picture  # noqa: PLC0415

    ways = list(dict.fromkeys(str(result["way"]) for result in results))
    colours = (ORANGE, BLUE, SKY, VERMILION, GREEN, PURPLE)

    def figure() -> Figure:
        drawn = new_figure(2.4 + 3.8 * len(panels), 4.2)
        for place, (key, label) in enumerate(panels.items(), 1):
            axes = drawn.add_subplot(1, len(panels), place, xscale="log", yscale="log", xlabel="rows", ylabel=label)
            for way, colour, mark in zip(ways, colours, MARKS, strict=False):
                points = [(result["rows"], result[key]) for result in results if result["way"] == way]
                axes.plot(*zip(*points, strict=True), color=colour, marker=mark, label=way)
            for axis in (axes.xaxis, axes.yaxis):  # the project's pictures read no formulas, so no powers either
                axis.set_major_formatter("{x:,.10g}")
                axis.set_minor_formatter(NullFormatter())
            if place == 1:
                axes.set_title(title)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        return drawn

    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path.parent, path.stem, figure)
