"""Promotion to champion: its options, the current champion (from tracking), and the verdict (of the report)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.metrics import ChoiceMetric

REGISTERED_NAME: Final = "movie-genre-classifier"


class PromotionConfig(BaseModel):
    """When the best model replaces the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = Field(
        None, description="Whether to promote. Default: after a pipeline run, not after a comparison of chosen runs."
    )
    metric: ChoiceMetric = Field("jaccard", description="Metric on test that decides promotion.")
    level: float = Field(0.95, gt=0, lt=1, description="Confidence level of the promotion test.")
    min_f1_macro: float = Field(0.1, ge=0, le=1, description="Lowest macro F1 on test of a champion.")
    registered_model: str = Field(
        REGISTERED_NAME,
        pattern="^[^/:@'\"]+$",  # MLflow's filters cannot hold every name
        description="MLflow registered model whose champion is challenged. Use a separate one for each dataset.",
    )
    replace_other_data: Literal["sample", "always", "never"] = Field(
        "sample",
        description="When to replace a champion tested on different data, which cannot be compared: if its data is the "
        "embedded sample, always, or never.",
    )


@dataclass(frozen=True)
class Champion:
    """The current champion, as far as the store still has it."""

    version: int
    model: str
    run_id: str
    source: str  # of its data: "sample", a folder, ...; "" where unknown
    data_hash: str  # "" where unknown
    folder: Path | None  # its metrics, rules and test predictions; None: its run was deleted, or they are gone
    is_challenger: bool  # whether it and the challenger are the same model
    is_readable: bool = True  # by this version; models logged before models were pipelines are not
    challenger_was_rolled_back: str = ""  # when the challenger, as champion, was rolled back


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger becomes champion, and why."""

    takes_over: bool
    reason: str
    difference: str = ""  # metric, challenger minus champion, interval and level; "" if they were not compared
