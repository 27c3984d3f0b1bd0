"""What can be chosen about cleaning. Owns the config model; the rules themselves are in `tasks.clean.rules`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CleanConfig(BaseModel):
    """Choices of the clean stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["default", "original"] = Field(
        "default",
        description="Rules to apply: 'original' repeats the earlier system exactly, 'default' mends its faults.",
    )
    disable: tuple[str, ...] = Field((), description="Names of rules to leave out, such as 'author_signature'.")
    excluded_genres: tuple[str, ...] = Field(
        ("Reality-TV", "News", "Adult", "Talk-Show", "Game-Show", "Short"),
        description="Genres whose rows are dropped.",
    )
