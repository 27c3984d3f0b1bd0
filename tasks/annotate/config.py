"""How to annotate. Owns the choices; knows no data."""

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.language import Pipeline


class AnnotateConfig(BaseModel):
    """Choices of the annotation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: Pipeline = Field(
        "simplemma", description="What gives the lemmas; en_core_web_sm gives tags too, if it is installed."
    )
    shard_size: int = Field(
        5_000, ge=1, description="Movies that a worker takes at a time; the result does not depend on it."
    )
