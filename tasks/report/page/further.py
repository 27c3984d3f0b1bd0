"""Pictures of other stages about what speaks for a genre, for the page. Owns their titles."""

from collections.abc import Sequence
from typing import Final

from tasks.report.importances import FIELD_BARS, WORD_BARS, WORD_CLOUDS
from tasks.report.page.blocks import Picture
from tasks.report.similarity import MEASURES, picture_name
from tasks.stage import StageResult

TREE: Final = "tree"
TITLES: Final = {
    WORD_BARS: "Words for and against each genre, by {model}",
    FIELD_BARS: "Fields for and against each genre, by {model}",
    WORD_CLOUDS: "Words for each genre, by {model}",
    TREE: "The first questions of {model}",
    picture_name("importance_overlap"): "How many of their strongest features genres share",
    picture_name("importance_cosine"): "How alike genres are to the model",
    picture_name("tfidf_cosine"): "How alike the genres' descriptions are",
    picture_name("tfidf_excess_cosine"): "How alike they are in what sets them off from all movies",
}


def pictures_of_features(results: Sequence[StageResult]) -> tuple[Picture, ...]:
    """Return the pictures of `importances`, `similarity` and the models' trees, each with its sentence."""
    return tuple(
        Picture(
            name=name if name != TREE else f"{TREE}_{result.folder.name}",
            title=TITLES[name].format(model=result.folder.name),
            sentence=sentence,
            file=result.folder / f"{name}.svg",
            is_wide=True,
        )
        for result in results
        for name, sentence in _findings(result).items()
    )


def _findings(result: StageResult) -> dict[str, str]:
    """Return by picture what a stage says of it."""
    counts = result.counts
    if "findings" in counts:
        return dict(counts["findings"])
    if "finding" in counts:
        return {TREE: counts["finding"]}
    return {picture_name(measure): counts[measure] for measure in MEASURES}
