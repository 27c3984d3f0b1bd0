"""The root of all configuration in this room. Owns what it has in common: frozen, and nothing unknown in it."""

from typing import Final

from pydantic import BaseModel, ConfigDict

IS_A_TABLE: Final = True  # see tasks.source_code


class Choice(BaseModel):
    """A frozen piece of configuration that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
