"""Options of the annotation, in their own module so that `--help` does not import joblib."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.language import Pipeline


class AnnotateConfig(BaseModel):
    """How to annotate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: Pipeline = Field(
        "simplemma", description="Source of the lemmas; en_core_web_sm also adds tags, if it is installed."
    )
    shard_size: int = Field(5_000, ge=1, description="Movies per task of a worker; does not change the result.")
