"""Evaluation of each system's own decisions, and of our rules on its scores."""

import json
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from tasks.core.figures import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, new_figure, write_picture
from tasks.core.metrics import decision_metrics, draw_weights, interval, movie_metrics
from tasks.core.predictions import truth_matrix, write_scores
from tasks.core.settings import DataPaths
from tasks.evaluate.evaluation import evaluate_model
from tasks.models.features import read_genres, read_movies

OURS = "genreflow"
TUNED_RULES = ("per-genre", "expected-jaccard")
SHOWN = ("jaccard", "f1_samples", "f1_macro")


@dataclass(frozen=True)
class Judgement:
    """The figures of one system on test, and each movie's Jaccard."""

    own: dict[str, float] | None  # by its own decisions; our models have none but those of the chosen rule
    rules: dict[str, dict[str, float]]  # by our rules, fitted on validation
    chosen: str  # the rule with the greatest cross-fitted Jaccard on validation
    validation_jaccard: float  # of the chosen rule
    movie_jaccard: dict[str, np.ndarray]  # "own" and "tuned"


def judge(paths: DataPaths, scored: Path) -> Judgement:
    """Evaluate the output of a system with the pipeline's evaluation."""
    stored, movies, genres = np.load(scored), read_movies(paths), read_genres(paths)
    folder = paths.models / scored.stem
    folder.mkdir(parents=True)
    parts = {part: movies.filter(pl.col("part").cast(pl.String) == part) for part in ("validation", "test")}
    for part, own in parts.items():
        ids = own.get_column("movie_id").to_list()
        write_scores(folder / f"scores_{part}.parquet", ids, stored[part].astype(np.float32), genres)
    evaluate_model(folder, paths)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    chosen = metrics["chosen_rule"]
    tuned = pl.read_parquet(folder / "predictions_test.parquet").get_column("jaccard").to_numpy()
    own, movie_jaccard = None, {"own": tuned, "tuned": tuned}
    if "decided" in stored:
        truth = truth_matrix(parts["test"].get_column("genres").to_list(), genres)
        figures = decision_metrics(truth, stored["decided"])
        own = {name: round(figures[name], 4) for name in SHOWN}
        movie_jaccard["own"] = movie_metrics(truth, stored["decided"])[:, 0]
    rules = {
        rule: {name: round(values[f"test/{name}"], 4) for name in SHOWN} for rule, values in metrics["rules"].items()
    }
    return Judgement(own, rules, chosen, metrics["rules"][chosen]["val/jaccard"], movie_jaccard)


def compare(best: Judgement, other: Judgement) -> dict[str, dict[str, float]]:
    """Return the lead in Jaccard of the best over another system's own and tuned decisions, with 95% intervals."""
    kinds = ("own", "tuned") if other.own else ("tuned",)
    reference = best.movie_jaccard["tuned"]
    weights = draw_weights(len(reference))
    differences = {kind: interval(weights @ (reference - other.movie_jaccard[kind]) / len(reference)) for kind in kinds}
    return {
        kind: {name: round(value, 4) for name, value in asdict(difference).items()}
        for kind, difference in differences.items()
    }


def print_table(results: list[dict[str, Any]]) -> None:
    """Print a line per system: cost of the fit, quality of its decisions, lead of our best in Jaccard."""
    rules = "".join(f"{rule:>18}" for rule in TUNED_RULES)
    print(f"{'':59}{'own decision':>15}{rules}{'chosen':>15}{'ours ahead of its:':>30}")
    print(
        f"{'system':43}{'fit CPU s':>10}{'MB':>6}{'Jaccard    F1':>15}"
        + f"{'Jaccard':>18}" * len(TUNED_RULES)
        + f"{'Jaccard    F1':>15}{'own decision':>16}{'chosen rule':>16}"
    )
    for result in results:
        tuned = "".join(f"{result['rules'][rule]['jaccard']:18.3f}" for rule in TUNED_RULES)
        leads = "".join(_lead(result["ahead"].get(kind)) for kind in ("own", "tuned"))
        cells = f"{_cell(result['own'])}{tuned}{_cell(result['rules'][result['chosen']])}{leads}"
        print(f"{result['name']:43}{result['cpu_s']:10.2f}{result['peak_mb']:6}{cells}".rstrip())


def _cell(figures: dict[str, float] | None) -> str:
    return f"{figures['jaccard']:9.3f} {figures['f1_samples']:5.3f}" if figures else " " * 15


def _lead(difference: dict[str, float] | None) -> str:
    if difference is None:
        return " " * 16
    return f"{difference['value']:+.3f} ±{(difference['high'] - difference['low']) / 2:.3f}".rjust(16)


def draw(results: list[dict[str, Any]], title: str, path: Path) -> None:
    """Draw Jaccard against the CPU time of the fit, ours in blue, as SVG and PNG."""
    our_looks = ((BLUE, mark) for mark in cycle("os^Dv"))
    their_looks = ((colour, mark) for mark in cycle("osD") for colour in (ORANGE, GREEN, PURPLE, VERMILION, SKY))

    def figure() -> Figure:
        drawn = new_figure(8.6, 4.6)
        axes = drawn.add_subplot(xscale="log", xlabel="CPU seconds to fit, text to model", ylabel="Jaccard on test")
        for result in results:
            colour, mark = next(our_looks if result["peer"] == OURS else their_looks)
            tuned = result["rules"][result["chosen"]]["jaccard"]
            if result["own"]:
                own = result["own"]["jaccard"]
                axes.plot([result["cpu_s"]] * 2, [own, tuned], color=colour, linewidth=1)
                axes.plot(result["cpu_s"], own, mark, color=colour, markerfacecolor="white")
            axes.plot(result["cpu_s"], tuned, mark, color=colour, label=result["name"])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.1, y=0.1)
        drawn.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=9)
        axes.set_title(f"{title}; hollow: its own decision, full: our rules")
        return drawn

    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path.parent, path.stem, figure)
