"""The root of all configuration in this room. Owns what it has in common: frozen, and nothing unknown in it."""

from pydantic import BaseModel, ConfigDict


class Choice(BaseModel):
    """A frozen piece of configuration that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
