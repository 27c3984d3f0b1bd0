"""Choices of the acquire stage."""

from pydantic import BaseModel, ConfigDict, Field


class SampleConfig(BaseModel):
    """How much the embedded sample holds. Its seed is the run's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Ids have seven digits, and the sample uses a third of them at most.
    n_movies: int = Field(6000, ge=1, le=3_000_000, description="Movies in the embedded sample.")
