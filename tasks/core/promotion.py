"""When a model becomes the champion: the choice, and what those who know the store and those who judge tell each other.

A foundation: tracking says who is champion, the report judges, and tracking does as judged. Owns no rule.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PromotionMetric = Literal[
    "jaccard", "f1_samples", "f1_micro", "f1_macro", "f1_weighted", "exact_match", "hamming_loss", "balanced_accuracy"
]


REGISTERED_NAME: Final = "movie-genre-classifier"


class PromotionConfig(BaseModel):
    """When the best model takes the champion's place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = Field(
        None, description="Whether to promote; none: after a pipeline run yes, after a comparison of chosen runs no."
    )
    metric: PromotionMetric = Field("jaccard", description="What the challenger must be better by, on the test movies.")
    level: float = Field(0.95, gt=0, lt=1, description="Of the interval of the difference, which must be above zero.")
    min_f1_macro: float = Field(0.1, ge=0, le=1, description="Macro F1 on test that a champion has at least.")
    registered_model: str = Field(
        REGISTERED_NAME,
        pattern="^[^/:@'\"]+$",  # MLflow's filters cannot hold every name
        description="MLflow registered model whose champion is challenged; another kind of data wants one of its own.",
    )
    replace_other_data: Literal["sample", "always", "never"] = Field(
        "sample",
        description="Which champions of other test movies, with whom nothing can be compared, give way: those of the "
        "embedded sample, all, or none.",
    )


@dataclass(frozen=True)
class Champion:
    """The present champion, as far as the store still knows it."""

    version: int
    model: str
    run_id: str
    source: str  # of its data: "sample", a folder, ...; "" where unknown
    data_hash: str  # "" where unknown
    folder: Path | None  # its metrics, rules and test predictions; None: its run was deleted, or they are gone
    is_challenger: bool  # the model that would replace it is this very one
    is_readable: bool = True  # by this version; models that were logged before models were pipelines are not
    challenger_was_rolled_back: str = ""  # when the challenger was champion and was taken back


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes champion, and why."""

    takes_over: bool
    reason: str
    difference: str = ""  # metric, challenger less champion, interval and level; "" where the two were not compared
