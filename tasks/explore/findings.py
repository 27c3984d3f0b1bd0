"""What one part of the exploration found, as the page needs it. Owns its form on disk; finds and draws nothing."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class PictureFinding(BaseModel):
    """A picture with its words; its files are `<name>.svg`, `.png` and `.csv` in the part's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    sentence: str
    is_wide: bool


class ConflictFinding(BaseModel):
    """How often one kind of conflict occurs, and its first cases: each a key and some of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    value: str
    file: str
    count: int
    examples: tuple[tuple[str, tuple[str, ...]], ...]


class Findings(BaseModel):
    """All that the page says about the raw or the clean data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["raw", "clean"]
    title: str
    summary: str
    pictures: tuple[PictureFinding, ...]
    conflicts: tuple[ConflictFinding, ...]
