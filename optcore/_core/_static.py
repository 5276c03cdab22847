"""Values that are not leaves: packing into a pytree, comparison, hashing and printing."""

import dataclasses
import re
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import numpy as np

from ._keys import is_key, key_words
from ._walk import is_declared

_PLAIN = (bool, int, float, complex, str, np.dtype, np.generic, np.ndarray, jax.Array, re.Pattern)


def is_plain(value: Any) -> bool:
    """Whether a value is compared by content, and is immutable.

    >>> is_plain({"a": 1.0}), is_plain(lambda: 1.0)
    (True, False)
    """

    def plain(leaf: Any) -> bool:
        if isinstance(leaf, _PLAIN):
            return True
        if is_declared(leaf):
            return is_plain(leaf.declaration.arguments)
        made = getattr(type(leaf), "__dataclass_params__", None)
        if made is None or not made.frozen:
            return False
        return all(is_plain(getattr(leaf, field.name)) for field in dataclasses.fields(leaf))

    return all(map(plain, jax.tree.leaves(value, is_leaf=is_declared)))


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
        self._key = hashable(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.value)


def hashable(value: Any) -> Hashable:
    """A hashable key for a value: containers by content, arrays by bytes, other objects unchanged.

    >>> hashable({"b": [1, 2]}) == hashable({"b": [1, 2]})
    True
    """
    if isinstance(value, Mapping):
        items = [(hashable(k), hashable(v)) for k, v in value.items()]
        return type(value), frozenset(items)
    if isinstance(value, (list, tuple)):
        return type(value), tuple(hashable(v) for v in value)
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(hashable(v) for v in value)
    if isinstance(value, jax.core.Tracer):
        return id(value)
    if is_key(value):
        with jax.ensure_compile_time_eval():
            words = np.asarray(jax.random.key_data(value))
        return "key", str(jax.random.key_impl(value)), hashable(words)
    if isinstance(value, (np.ndarray, jax.Array)):
        array = np.asarray(value)
        return "array", array.shape, array.dtype.str, array.tobytes()
    try:
        hash(value)
    except TypeError:
        # A mutable object is compared by identity, not by value.
        return type(value), id(value)
    return type(value), value


def ordered_like(members: dict[Any, Any], model: Any) -> dict[Any, Any]:
    """An ordered dict if the model is one: other pytrees cannot have keys that cannot be sorted."""
    return OrderedDict(members) if isinstance(model, OrderedDict) else members


def same(a: Any, b: Any) -> bool:
    """Whether two arguments are equal, arrays and keys by content."""
    if a is b:
        return True
    if any(isinstance(x, jax.core.Tracer) for x in (a, b)):
        return False
    if is_key(a) or is_key(b):
        return is_key(a) and is_key(b) and hashable(a) == hashable(b)
    if isinstance(a, (np.ndarray, jax.Array)) or isinstance(b, (np.ndarray, jax.Array)):
        return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))
    return bool(a == b)


def printed(value: Any) -> str:
    """An argument as `repr` prints it."""
    if isinstance(value, np.dtype):
        return value.name
    if is_key(value) and not isinstance(value, jax.core.Tracer):
        return f"<{jax.random.key_impl(value)} key {' '.join(map(str, key_words(value)))}>"
    return repr(value)
