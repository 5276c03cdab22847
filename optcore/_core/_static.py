"""Values that are not leaves: how arguments are packed into a pytree, compared and hashed."""

from collections.abc import Hashable, Mapping
from typing import Any

import jax
import numpy as np


@jax.tree_util.register_pytree_node_class
class Static:
    """A node without leaves around a value that belongs to the structure."""

    __slots__ = ("value",)

    def __init__(self, value: Any):
        self.value = value

    def tree_flatten(self) -> tuple[tuple[()], "Frozen"]:
        return (), Frozen(self.value)

    @classmethod
    def tree_unflatten(cls, frozen: "Frozen", _: Any) -> "Static":
        return cls(frozen.value)


class Frozen:
    """A hashable view of any plain value, equal if the values are."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Any):
        self.value = value
        self._key = freeze(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)


def freeze(value: Any) -> Hashable:
    """A hashable stand-in for a value: containers by content, arrays by bytes, objects as they are.

    >>> freeze({"b": [1, 2]}) == freeze({"b": [1, 2]})
    True
    """
    if isinstance(value, Mapping):
        items = [(freeze(k), freeze(v)) for k, v in value.items()]
        return type(value), frozenset(items)
    if isinstance(value, (list, tuple)):
        return type(value), tuple(freeze(v) for v in value)
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(freeze(v) for v in value)
    if isinstance(value, jax.core.Tracer):
        return id(value)
    if isinstance(value, (np.ndarray, jax.Array)):
        array = np.asarray(value)
        return "array", array.shape, array.dtype.str, array.tobytes()
    try:
        hash(value)
    except TypeError:
        # An object that can change has no value to compare by, only an identity.
        return type(value), id(value)
    return type(value), value
