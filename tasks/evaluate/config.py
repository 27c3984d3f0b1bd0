"""What can be chosen about evaluation. Owns the config model."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ChoiceMetric = Literal[
    "jaccard", "f1_samples", "f1_micro", "f1_macro", "f1_weighted", "exact_match", "hamming_loss", "balanced_accuracy"
]
RuleName = Literal[
    "fixed", "fixed-or-majority", "fixed-or-none", "fixed-0.425", "top", "global", "per-genre", "per-genre-f1",
    "expected-jaccard", "expected-f1",
]  # fmt: skip


class EvaluateConfig(BaseModel):
    """How the decision rule of a model is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choose_by: ChoiceMetric = Field(
        "jaccard", description="Each model gets the decision rule that is best by this metric on validation."
    )
    rule: RuleName | None = Field(None, description="The rule that every model gets; none: the best by choose_by.")
