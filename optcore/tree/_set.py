"""A tree with other values in place of those that go by a name."""

import numbers
from typing import Any

import jax
import jax.numpy as jnp

from .._core import whole
from ._get import Filtering, missing
from ._nodes import Path, is_named_tuple, matches, steps_below


def set(tree: Any, filtering: Filtering | None = None, /, **values: Any) -> Any:
    """The tree with other values in all places that go by the given names.

    A Python number in the place of a scalar array becomes such an array, of its dtype, so that
    nothing is compiled anew. All else is put there as it is.

    To change a hyper-parameter use `set_hyperparams`: it refuses what a schedule would
    overwrite, and values out of range.

    Args:
      tree: a state, or any tree; it is not changed.
      filtering: `filtering(path, value)` says which of the places count.
      **values: by name; see `get_all_with_path` for what a name may be.

    Raises:
      KeyError: a name is in no place; the message suggests one.
      ValueError: a number with a fraction is given for an integer.

    >>> import jax.numpy as jnp, optcore
    >>> state = set(optcore.adam(0.1).init(jnp.zeros(2)), count=7)
    >>> state[0].count
    Array(7, dtype=int32)
    """
    used = dict.fromkeys(values, False)

    def changed(path: Path, node: Any) -> Any:
        for key, value in values.items():
            if matches(path, node, key) and (filtering is None or filtering(path, node)):
                used[key] = True
                return _like(key, node, value)
        below = steps_below(node)
        new = [changed((*path, step), child) for step, child in below]
        if all(n is child for n, (_, child) in zip(new, below, strict=True)):
            return node
        if is_named_tuple(node):
            return type(node)(*new)
        treedef = jax.tree.structure(node, is_leaf=lambda x: x is not node)
        return treedef.unflatten(new)

    result = changed((), tree)
    for key, was_used in used.items():
        if not was_used:
            raise KeyError(missing(tree, key, filtering))
    return result


def _like(name: str, old: Any, value: Any) -> Any:
    number = isinstance(value, numbers.Number) and not hasattr(value, "dtype")
    if not (number and isinstance(old, jax.Array) and not old.ndim):
        return value
    if jnp.issubdtype(old.dtype, jnp.integer) and whole(value) is None:
        raise ValueError(f"set: {name} is an integer of type {old.dtype}, got {value!r}")
    return jnp.full_like(old, value)
