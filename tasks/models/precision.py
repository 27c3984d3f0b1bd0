"""How exactly fine-tuned encoders compute scores. Owns the choice; every other model has one way only."""

from typing import Literal, get_args

from tasks.errors import ConfigError

Precision = Literal["float32", "int8"]


def read_precision(text: str) -> Precision:
    """Return the precision of this name.

    Raises:
        ConfigError: there is none.
    """
    for precision in get_args(Precision):
        if precision == text:
            return precision  # type: ignore[no-any-return]  # one of the names above
    raise ConfigError(f"there is no precision {text!r}; there are {' and '.join(get_args(Precision))}")
