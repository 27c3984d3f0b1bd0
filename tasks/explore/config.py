"""What to explore and how much of it to show. Owns the choices; knows no data."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.schema import DEFAULT_SEED

Part = Literal["raw", "clean"]


class ExploreConfig(BaseModel):
    """Choices of the exploration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Literal["raw", "clean", "both"] = Field("both", description="Which data to look at.")
    max_genres: int = Field(28, ge=2, le=40, description="Genres shown in a picture, the most frequent ones.")
    combinations: int = Field(25, ge=1, le=60, description="Genre combinations shown, the most frequent ones.")
    cloud_words: int = Field(24, ge=1, le=80, description="Words in the cloud of one genre.")
    cloud_movies: int = Field(50_000, ge=1, description="Movies whose words are counted, drawn at random if more.")
    seed: int = Field(DEFAULT_SEED, description="Seed of the drawing and of the words' places.")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The chosen data, in the order of the page."""
        return ("raw", "clean") if self.of == "both" else (self.of,)
