"""The leaves of one tree at the places of another, regardless of static data in containers."""

from collections.abc import Mapping
from typing import Any

import jax


def flatten_like(treedef: Any, tree: Any) -> list[Any]:
    """The subtree of `tree` at each leaf of `treedef`: like `treedef.flatten_up_to(tree)`.

    Some containers record as static data where they hold no array (Haiku's immutable dicts do). For
    JAX, two of them differ as soon as one holds `None`. Here they count as the same.

    Raises:
      ValueError: the trees differ in more than that.

    >>> import jax
    >>> flatten_like(jax.tree.structure({"a": 0, "b": 0}), {"a": 1.0, "b": None})
    [1.0, None]
    """
    try:
        found: list[Any] = treedef.flatten_up_to(tree)
    except ValueError:
        found = [_MISSING] * treedef.num_leaves
        numbered = treedef.unflatten(map(_Place, range(treedef.num_leaves)))
        if not _fill(found, numbered, tree) or any(x is _MISSING for x in found):
            raise
    return found


class _Place:
    """The place of a leaf; it is not a pytree, and so is itself a leaf."""

    def __init__(self, number: int):
        self.number = number


_MISSING = object()


def _fill(found: list[Any], numbered: Any, node: Any) -> bool:
    """Store the subtree at each place by its number; returns whether the trees are alike."""
    if isinstance(numbered, _Place):
        found[numbered.number] = node
        return True
    if numbered is None or type(numbered) is not type(node):
        return numbered is None and node is None
    if isinstance(node, Mapping):
        same = numbered.keys() == node.keys()
        return same and all(_fill(found, numbered[key], node[key]) for key in node)
    (first, kind), (second, other) = map(_one_level, (numbered, node))
    return kind == other and all(map(_fill, [found] * len(first), first, second))


def _one_level(node: Any) -> tuple[list[Any], Any]:
    return jax.tree.flatten(node, is_leaf=lambda x: x is not node)
