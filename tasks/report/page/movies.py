"""How long descriptions have to be, how many genres are said, and what scores mean. Owns the section's wording."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import DataError
from tasks.core.markup import highlight_html
from tasks.report.exhibits import SUGGESTED, impossible_movies
from tasks.report.figures import draw_calibration
from tasks.report.page.figures import draw_dropped, draw_lengths, draw_scores, draw_set_sizes
from tasks.report.page.sources import Model, Sources, at_least, at_most, counted, figure, listed, percent, read_json
from tasks.report.page.writer import Card, Cards, Cell, Column, Line, Picture, Reason, Section, Table, Words

PIECES: Final = 6  # with the strongest contributions, that are told in numbers
GENRES: Final = 2  # explanations of a movie for one model, and for two models together
_SOURCES: Final = {"movie_name": "title", "rest": "all else"}


@dataclass(frozen=True)
class Explained:
    """A model with the contributions of words and fields to its scores, where they were computed."""

    model: Model

    @cached_property
    def pieces(self) -> Mapping[tuple[str, str], pl.DataFrame]:
        """The pieces of each movie and genre; nothing where there are no explanations."""
        table = self.model.optional_table("explanations.parquet")
        if table is None:
            return {}
        parts = table.partition_by("movie_id", "genre", as_dict=True, maintain_order=True)
        return {(str(movie), str(genre)): part for (movie, genre), part in parts.items()}


def movie_card(sources: Sources, row: int, explained: tuple[Explained, ...]) -> Card:
    """Show a test movie, by its row, with what models say of it and why."""
    movie = sources.movies.row(row, named=True)
    title = f"{movie['movie_name']} ({movie['year']})" if movie["year"] else movie["movie_name"]
    lines = [_line(each.model, row) for each in explained]
    reasons = _reasons(explained, movie, row, lines[0])
    text = "" if any(reason.coloured for reason in reasons) else movie["description"]
    return Card(title, text, lines, reasons, "cut off at its source" if movie["is_truncated"] else "")


def _line(model: Model, row: int) -> Line:
    scores = model.scores.scores[row]
    order = np.argsort(-scores, kind="stable")
    groups = (
        model.truth[row] & model.decided[row],
        model.decided[row] & ~model.truth[row],
        model.truth[row] & ~model.decided[row],
    )
    return Line(
        model.name,
        *(
            [(model.scores.genres[genre], f"{scores[genre]:.2f}") for genre in order if group[genre]]
            for group in groups
        ),
    )


def _reasons(explained: tuple[Explained, ...], movie: Mapping[str, Any], row: int, line: Line) -> list[Reason]:
    """Explain what is most telling: two genres of one model, or the genre that two models differ most on."""
    genres = _differing(explained, row) if len(explained) > 1 else _most_telling(line)
    known = [genre for genre in genres if any((movie["movie_id"], genre) in each.pieces for each in explained)]
    return [
        _reason(pieces, movie["description"], f"{genre} in the eyes of {each.model.name}")
        for genre in known[: GENRES // len(explained)]
        for each in explained
        if (pieces := each.pieces.get((movie["movie_id"], genre))) is not None
    ]


def _most_telling(line: Line) -> list[str]:
    """Return genres in the order in which a reader asks for reasons: wrongly given, missed, right."""
    return [genre for group in (line.wrong, line.missed, line.right) for genre, _ in group]


def _differing(explained: tuple[Explained, ...], row: int) -> list[str]:
    """Return genres from the one that two models' scores differ most on."""
    one, other = (dict(zip(each.model.scores.genres, each.model.scores.scores[row], strict=True)) for each in explained)
    return sorted(set(one) & set(other), key=lambda genre: (-abs(one[genre] - other[genre]), genre))


def _reason(pieces: pl.DataFrame, description: str, title: str) -> Reason:
    in_text = pieces.filter((pl.col("source") == "description") & pl.col("start").is_not_null())
    spans = list(in_text.select("start", "end", "contribution").sort("start", "end").iter_rows())
    strongest = max((abs(contribution) for *_, contribution in spans), default=0.0)
    ordered = pieces.filter(pl.col("contribution") != 0).sort(
        pl.col("contribution").abs(), descending=True, maintain_order=True
    )
    return Reason(
        title,
        [_piece(*row) for row in ordered.select("source", "piece", "contribution").head(PIECES).iter_rows()],
        highlight_html(description, spans, strongest) if spans else None,
    )


def _piece(source: str, piece: str | None, contribution: float) -> tuple[str, str, bool]:
    name = _SOURCES.get(source, source)
    text = (piece or name) if source == "description" else name if source == "rest" or not piece else f"{name}: {piece}"
    return text, f"{contribution:+.2f}".replace("-", "\N{MINUS SIGN}"), contribution > 0


TITLES: Final = {
    "good": "Good predictions",
    "bad": "Bad predictions",
    "disagreement": "Where two kinds of model disagree",
    "impossible": "Impossible for every model",
    "doubtful": "Labels in doubt",
}
SIGNS: Final = "✓ right, ✗ wrong, ○ missed; beside each genre its score."


def movies_section(sources: Sources, exhibits: pl.DataFrame) -> Section:
    """Show the chosen movies by role, each with what the models say and which words made them say so."""
    explained = Explained(sources.best), *((Explained(sources.rival),) if sources.rival else ())
    blocks: list[Any] = [Words(say_colours(explained), _legend(explained))]
    rows = {movie: row for row, movie in enumerate(sources.best.predictions["movie_id"])}
    for role, title in TITLES.items():
        ids = exhibits.filter(pl.col("role") == role).sort("rank")["movie_id"].to_list()
        if strangers := [movie for movie in ids if movie not in rows]:
            raise DataError(f"exhibits: {strangers[0]} is no test movie of this run; choose the exhibits again")
        if ids or (role != "doubtful" and (role != "disagreement" or sources.rival)):
            with_rival = role in {"disagreement", "impossible"}
            cards = [movie_card(sources, rows[movie], explained if with_rival else explained[:1]) for movie in ids]
            blocks.append(Cards(role, title, _say_role(sources, role, len(ids)), cards))
    return Section("movies", "Movies to look at", blocks)


def say_colours(explained: tuple[Explained, ...]) -> str:
    """Say what colours mean, or that there are none."""
    names = [each.model.name for each in explained if each.pieces]
    if not names:
        return f"{SIGNS} No explanations were computed in this run: the texts stand without colours."
    return (
        f"{SIGNS} Colours show what moved {listed(names)}, the stronger the more; the numbers are contributions to the "
        "log-odds of the genre."
    )


def _legend(explained: tuple[Explained, ...]) -> str | None:
    if not any(each.pieces for each in explained):
        return None
    speaks_for, against = "speaks for the genre", "speaks against it"
    text = f"{speaks_for}, {against}"
    return highlight_html(text, [(0, len(speaks_for), 1.0), (len(text) - len(against), len(text), -1.0)], 1.0)


def _say_role(sources: Sources, role: str, shown: int) -> str:
    best, total = sources.best, sources.best.predictions.height
    if role == "good":
        right = int((best.jaccard == 1).sum())
        return f"{best.name} has all genres right and none too many for {_of(right, total)}.{_shown(right, shown)}"
    if role == "bad":
        wrong = int((best.jaccard == 0).sum())
        return f"{best.name} has none right for {_of(wrong, total)}.{_shown(wrong, shown, 'the surest mistakes')}"
    if role == "disagreement" and sources.rival:
        return say_disagreement(best, sources.rival)
    if role == "impossible":
        hopeless = len(impossible_movies(sources.models))
        impossible = {0: "so nothing is impossible, and nothing shown", 1: "it is impossible"}.get(
            hopeless, "these are impossible"
        )
        missed = int(np.all([model.jaccard == 0 for model in sources.models], axis=0).sum())
        return (
            f"For {_of(missed, total)}, {_all_have(len(sources.models))} no genre right; for {hopeless:,} of these no "
            f"model puts a true genre even among its {SUGGESTED} highest scores: "
            f"{impossible}."
            f"{_shown(hopeless, shown, 'those farthest off')}"
        )
    return f"The label audit doubts these test movies most; {counted(shown, 'movie')} shown."


def say_disagreement(best: Model, rival: Model) -> str:
    """Say how often two models answer differently, and who is then right."""
    difference = best.jaccard - rival.jaccard
    ahead, behind = int((difference > 0).sum()), int((difference < 0).sum())
    total = len(difference)
    same = int((best.predictions["predicted_genres"] == rival.predictions["predicted_genres"]).sum())
    if same == total:
        return f"{best.name} and {rival.name}, the best model of another kind, answer every movie the same."
    return (
        f"{best.name} and {rival.name}, the best model of another kind ({rival.kind}), say the same of "
        f"{percent(same / total)} of the movies; {best.name} is nearer the truth for {ahead:,} and {rival.name} for "
        f"{behind:,}."
    )


def _all_have(models: int) -> str:
    return {1: "the only model has", 2: "both models have"}.get(models, f"all {models} models have")


def _of(number: int, total: int) -> str:
    return f"{number:,} of {counted(total, 'test movie')} ({percent(number / max(total, 1))})"


def _shown(found: int, shown: int, which: str = "the surest of them") -> str:
    return f" Shown: {which}." if found > shown > 0 else ""


_DOINGS: Final = {"dropped": "dropped", "merged": "merged", "changed": "text changed", "unparsed": "field not readable"}

_WANTED: Final = {
    "year": "year from 1800 to 2199",
    "runtime_min": "time in minutes",
    "rating": "number from 0 to 10",
    "votes": "whole number",
}
_UNREADABLE: Final = "The field holds something that cannot be read; it counts as unknown."


def quality_section(sources: Sources) -> Section:
    """Tell what cleaning dropped, merged and changed, and what the later stages noticed."""
    cleaned = read_json(sources.paths.dropped)
    counts: dict[str, int] = {name: count for name, count in cleaned.get("counts", {}).items() if count}
    blocks: list[Any] = [Words(say_rows(counts))]
    dropped = {name.partition("/")[2]: count for name, count in counts.items() if name.startswith("dropped/")}
    if dropped:
        ordered = dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0])))
        names = [name.replace("_", " ") for name in ordered]
        draw = partial(draw_dropped, names, list(ordered.values()))
        blocks.append(Picture("dropped", "Rows dropped, by reason", say_dropped(ordered), draw))
    reasons = {rule["name"]: rule["reason"] for rule in cleaned.get("rules", [])}
    if rows := _rows(counts, reasons):
        columns = [Column("Rule"), Column("Effect"), Column("Rows", is_number=True), Column("Why")]
        blocks.append(Table("cleaning", "What cleaning did", columns, rows, is_sortable=True))
    blocks.extend(
        Words(sentence) for sentence in (_say_annotation(sources), say_split(_split_counts(sources))) if sentence
    )
    return Section("quality", "Quality of the data", blocks)


def say_rows(counts: Mapping[str, int]) -> str:
    """Say how many of the rows are left, and how the others went."""
    read, kept = counts.get("rows_read"), counts.get("movies_kept")
    if not read or not kept:
        return "No counts of a cleaning are there: the movies came in already clean."
    merged = counts.get("merged/same_movie", 0)
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped/"))
    further = "was a further listing" if merged == 1 else "were further listings"
    more = f"; {counted(merged, 'row')} {further} of a movie and merged into it" if merged else ""
    return (
        f"Of {counted(read, 'row')} read, {counted(kept, 'movie')} are left ({percent(kept / read)}): "
        f"{counted(dropped, 'row')} dropped{more}."
    )


def say_dropped(dropped: Mapping[str, int]) -> str:
    """Say which reason, of at least one, took most."""
    total = sum(dropped.values())
    reason, count = next(iter(dropped.items()))
    name = reason.replace("_", " ")
    if len(dropped) == 1:
        rows = "The only dropped row has" if total == 1 else f"All {total:,} dropped rows have"
        return f"{rows} one reason: “{name}”."
    return f"“{name}” accounts for {count:,} of {total:,} dropped rows ({percent(count / total)})."


def _rows(counts: Mapping[str, int], reasons: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for name, count in sorted(counts.items(), key=lambda item: (item[0].partition("/")[0], -item[1], item[0])):
        doing, _, rule = name.partition("/")
        if doing in _DOINGS:
            why = reasons.get(rule, _say_doing(doing, rule))
            rows.append((Cell(rule.replace("_", " ")), Cell(_DOINGS[doing]), Cell(f"{count:,}", count), Cell(why)))
    return rows


def _say_doing(doing: str, what: str) -> str:
    """Say why rows count under what no rule of the cleaning did."""
    if doing == "merged":
        return "The same movie in several listings."
    if doing != "unparsed":
        return ""
    wanted = _WANTED.get(what)
    return f"The field holds something that is no {wanted}; it counts as unknown." if wanted else _UNREADABLE


def _say_annotation(sources: Sources) -> str:
    counts = read_json(sources.paths.conllu.parent / "annotate.stage.json").get("counts", {})
    if not {"documents", "tokens", "sentences", "empty_documents"} <= counts.keys():
        return ""
    empty = counts["empty_documents"]
    emptiness = f"{empty:,} {'is' if empty == 1 else 'are'} empty" if empty else "none is empty"
    return (
        f"The descriptions have {counts['tokens']:,} words and signs in {counted(counts['sentences'], 'sentence')}; "
        f"{emptiness}."
    )


def _split_counts(sources: Sources) -> dict[str, Any]:
    return dict(read_json(sources.paths.splits.parent / "split.stage.json").get("counts", {}))


def say_split(counts: Mapping[str, Any]) -> str:
    """Say how alike the parts are, never less than they differ; nothing where that was not counted."""
    groups = counts.get("text_groups", {})
    if "largest_share_difference" not in counts or "across_parts" not in groups:
        return ""
    across = groups["across_parts"]
    same = (
        f"{counted(across, 'group')} of movies with nearly the same text {'lies' if across == 1 else 'lie'} in more "
        "than one part, which flatters the test"
        if across
        else "no two movies with nearly the same text lie in different parts"
    )
    return (
        f"The parts are alike: no genre's share in one differs from its share in all by more than "
        f"{at_most(counts['largest_share_difference'], 2)} percentage points, and {same}."
    )


BINS: Final = 8
SCORE_BINS: Final = 40


def lengths_section(sources: Sources) -> Section:
    """Show the Jaccard against the length of the description, for the best model and its rival."""
    words = sources.movies["description"].str.count_matches(r"\S+").to_numpy()
    models = [model for model in (sources.best, sources.rival) if model is not None]
    bins = {model.name: bin_by_length(words, model.jaccard) for model in models}
    sentence = say_lengths(sources.best.name, bins[sources.best.name])
    picture = Picture("lengths", "Jaccard against length of the description", sentence, partial(draw_lengths, bins))
    return Section("lengths", "Short and long descriptions", [picture])


def answers_section(sources: Sources) -> Section:
    """Show how many genres the best model gives, and how its scores are spread."""
    best = sources.best
    true, predicted = (np.bincount(matrix.sum(axis=1)) for matrix in (best.truth, best.decided))
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    positive, negative = (np.histogram(best.scores.scores[part], edges)[0] for part in (best.truth, ~best.truth))
    sizes = Picture(
        "set_sizes", "Genres of a movie", say_sizes(true, predicted), partial(draw_set_sizes, true, predicted)
    )
    scores = Picture("scores", "Scores", say_scores(best), partial(draw_scores, positive, negative, edges))
    blocks: list[Any] = [sizes, scores]
    tables = [best.optional_table(name) for name in ("calibration.csv", "reliability.csv")]
    if tables[0] is not None and tables[1] is not None:
        draw = partial(draw_calibration, tables[0], tables[1])
        blocks.append(Picture("calibration", "Scores as probabilities", say_calibration(tables[0]), draw, is_wide=True))
    return Section("answers", f"What {best.name} answers", blocks)


def bin_by_length(words: NDArray[np.integer[Any]], jaccard: NDArray[np.float64]) -> pl.DataFrame:
    """Return `label`, `movies`, `mean`, `low`, `high` of the Jaccard in bins of about as many movies each.

    Movies of the same length are in the same bin; those without a Jaccard are left out. The interval is the mean's,
    1.96 standard errors both ways, and none for a bin of one movie.
    """
    known = np.isfinite(jaccard)
    words, jaccard = words[known], jaccard[known]
    starts = np.unique(np.quantile(words, np.arange(BINS) / BINS, method="higher")) if len(words) else np.array([0])
    places = np.searchsorted(starts, words, side="right") - 1
    rows = []
    for place, start in enumerate(starts):
        inside = places == place
        values, last = jaccard[inside], int(words[inside].max(initial=start))
        error = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        mean = float(values.mean()) if len(values) else 0.0
        label = f"{start:.0f}" if last == start else f"{start:.0f}\N{EN DASH}{last}"
        rows.append((label, len(values), mean, mean - error, mean + error))
    schema = {"label": pl.String, "movies": pl.Int64, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def say_lengths(model: str, bins: pl.DataFrame) -> str:
    """Say whether long descriptions are told better than short ones, beyond what chance could do."""
    if bins.height < 2:
        return f"All descriptions are about as long, so that {model}'s Jaccard cannot be told by length."
    first, last = bins.row(0, named=True), bins.row(-1, named=True)
    ends = (
        f"{figure(first['mean'])} for descriptions of {first['label']} words and {figure(last['mean'])} for those of "
        f"{last['label']}"
    )
    low, high = (bins.sort("mean", maintain_order=True).row(row, named=True) for row in (0, -1))
    between = (
        f" The extremes lie between: {figure(low['mean'])} for {low['label']} words, {figure(high['mean'])} for "
        f"{high['label']}."
        if low["high"] < high["low"] and {low["label"], high["label"]} != {first["label"], last["label"]}
        else ""
    )
    if first["high"] < last["low"] or last["high"] < first["low"]:
        better = "better" if last["mean"] > first["mean"] else "worse"
        return f"Long descriptions are told {better} than short ones: {model}'s mean Jaccard is {ends}.{between}"
    return f"Long descriptions are not told better than short ones: {model}'s mean Jaccard is {ends}.{between}"


def say_sizes(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> str:
    """Say how many genres movies have and were given on average, and which number is given too often."""
    have, given = (float(np.average(np.arange(len(counts)), weights=counts)) for counts in (true, predicted))
    if np.count_nonzero(predicted) == 1:
        return (
            f"Every movie was given {counted(int(predicted.argmax()), 'genre')}; they have {figure(have, 2)} on "
            "average, from "
            f"{int(np.flatnonzero(true)[0])} to {len(true) - 1}."
        )
    size = max(len(true), len(predicted))
    excess = np.pad(predicted, (0, size - len(predicted))) - np.pad(true, (0, size - len(true)))
    most = int(np.abs(excess).argmax())
    if not excess.any():
        return f"As many movies were given each number of genres as have it; the mean is {figure(have, 2)}."
    how, difference = "more" if excess[most] > 0 else "fewer", abs(int(excess[most]))
    return (
        f"Movies have {figure(have, 2)} genres and were given {figure(given, 2)} on average; the greatest difference: "
        f"{difference:,} {how} {'movie was' if difference == 1 else 'movies were'} given {counted(most, 'genre')} than "
        f"{'has' if difference == 1 else 'have'} as many."
    )


def say_scores(model: Model) -> str:
    """Say how well scores part genres that movies have from others."""
    positive, negative = model.scores.scores[model.truth], model.scores.scores[~model.truth]
    if not positive.size or not negative.size:
        return "Movies have all genres or none, so that scores cannot part them."
    if model.scores.scores.min() == model.scores.scores.max():
        return f"Every score is {figure(float(positive[0]), 2)}: the scores tell nothing."
    return (
        f"Half of the genres that a movie has score at least {at_least(float(np.median(positive)), 2)}, half of the "
        f"others at most {at_most(float(np.median(negative)), 3)}; {percent(float(np.mean(positive < 0.05)))} of what "
        f"a movie has scores under 0.05, and {percent(float(np.mean(negative > 0.5)))} of what it has not over 0.5."
    )


def say_calibration(calibration: pl.DataFrame) -> str:
    """Say how far scores are from probabilities before and after calibration, and where most."""
    known = calibration.drop_nulls(["ece_raw", "ece_calibrated"]).filter(pl.col("positives") > 0)
    if known.is_empty():
        return "No genre has enough test movies to tell how far scores are from probabilities."
    raw, calibrated = (float(known[name].mean() or 0) for name in ("ece_raw", "ece_calibrated"))  # type: ignore[arg-type]
    worst = known.sort("ece_calibrated", "genre", descending=[True, False]).row(0, named=True)
    verb = "brings" if calibrated < raw else "does not lower"
    change = (
        f"calibration {verb} the mean error over genres from {figure(raw)} to {figure(calibrated)}"
        if calibrated < raw
        else f"calibration {verb} the mean error over genres, {figure(raw)} before and {figure(calibrated)} after"
    )
    return (
        f"Where the curve is on the dashed line, a score of 0.3 is right in 30 % of the cases; {change}, and the "
        f"farthest off is then {worst['genre']}, by {figure(worst['ece_calibrated'])}. The leaderboard's error takes "
        "the scores of all genres together, where those of single genres can cancel out."
    )
