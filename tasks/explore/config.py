"""Options of the exploration."""

from typing import Literal

from pydantic import BaseModel, Field

from tasks.core.schema import DEFAULT_SEED

Part = Literal["raw", "clean"]


class ExploreConfig(BaseModel, frozen=True, extra="forbid"):
    """Options of the exploration."""

    of: Literal["raw", "clean", "both"] = Field("both", description="Which data to explore.")
    max_genres: int = Field(28, ge=2, le=40, description="Number of genres in a picture, the most frequent.")
    combinations: int = Field(25, ge=1, le=60, description="Number of genre combinations, the most frequent.")
    cloud_words: int = Field(24, ge=1, le=80, description="Number of words in the cloud of a genre.")
    cloud_movies: int = Field(50_000, ge=1, description="Maximum number of movies to count words in.")
    seed: int = Field(DEFAULT_SEED, description="Seed of the choice of movies and of the word clouds.")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The chosen data, in the order of the page."""
        return ("raw", "clean") if self.of == "both" else (self.of,)
