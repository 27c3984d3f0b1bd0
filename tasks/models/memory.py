"""How much memory a fitted model holds. Owns the count of bytes; knows no kind of model.

Counted are arrays, tensors, tables, texts and the containers that hold them, each once, however many names it has. Not
counted is what Python cannot see into: tables inside tokenizers and inference sessions. Nor is it what a process needs:
libraries that score by an encoder take some hundred MB by themselves, and scoring makes arrays of its own.
"""

import sys
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
import polars as pl

_CODE: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def held_bytes(model: object) -> int:
    """Return how many bytes an object and everything that it refers to hold."""
    total, seen, waiting = 0, set(), [model]
    while waiting:
        found = _owner(waiting.pop())
        if id(found) in seen or isinstance(found, _CODE):
            continue
        seen.add(id(found))
        total += _own_bytes(found)
        waiting.extend(_parts(found))
    return total


def _owner(found: Any) -> Any:
    """Return the array that a view looks into, so that both count once."""
    while isinstance(found, np.ndarray) and isinstance(found.base, np.ndarray):
        found = found.base
    return found


def _own_bytes(found: Any) -> int:
    if isinstance(found, pl.DataFrame | pl.Series):
        return int(found.estimated_size())
    if _is_array(found):
        return int(found.nbytes)
    return sys.getsizeof(found)


def _parts(found: Any) -> Iterable[Any]:
    if isinstance(found, str | bytes) or _is_array(found) or isinstance(found, pl.DataFrame | pl.Series):
        return ()
    if isinstance(found, Mapping):
        return [*found.keys(), *found.values()]
    if isinstance(found, list | tuple | set | frozenset):
        return found
    if type(found).__module__.startswith("sklearn.") and not hasattr(found, "__dict__"):
        state = found.__getstate__()  # of trees, whose arrays are in no attribute; None of what has none
        return list(state.values()) if isinstance(state, Mapping) else ()
    slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ()) if isinstance(name, str)]
    own = [getattr(found, name) for name in slots if name != "__dict__" and hasattr(found, name)]
    return [*own, getattr(found, "__dict__", None)]


def _is_array(found: Any) -> bool:
    """Return whether something is an array of NumPy or a tensor of a library that this module does not import."""
    return isinstance(getattr(found, "nbytes", None), int) and hasattr(found, "dtype")
