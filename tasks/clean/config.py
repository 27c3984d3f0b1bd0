"""What can be chosen about cleaning. Owns the config models; the rules themselves are in `tasks.clean.rules`."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.schema import EXCLUDED_GENRES


class PruneConfig(BaseModel):
    """Which whole movies to leave out because their descriptions teach little; nothing is left out by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_words: int | None = Field(None, ge=1, description="Fewest words of a description; the earlier system took 10.")
    max_words: int | None = Field(None, ge=1, description="Most words of a description; the earlier system took 200.")
    production_phrases: bool = Field(
        False, description="Drop descriptions of the making: 'directed by', 'starring', 'filmed in' and the like."
    )
    gibberish: bool = Field(False, description="Drop descriptions whose letters follow one another as in no language.")
    not_english: bool = Field(False, description="Drop descriptions whose words are mostly not English.")

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.min_words and self.max_words and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is more than max_words {self.max_words}")
        return self


class CleanConfig(BaseModel):
    """Choices of the clean stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["default", "original"] = Field(
        "default",
        description="Rules to apply: 'original' repeats the earlier system exactly, 'default' mends its faults.",
    )
    disable: tuple[str, ...] = Field((), description="Names of rules to leave out, such as 'author_signature'.")
    excluded_genres: tuple[str, ...] = Field(EXCLUDED_GENRES, description="Genres whose rows are dropped.")
    prune: PruneConfig = Field(PruneConfig(), description="Movies to leave out for their descriptions.")
