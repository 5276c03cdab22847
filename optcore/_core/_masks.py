"""Masks: trees of booleans, or functions that make one from the parameters."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._paths import is_leaf, named_leaves, what_it_is

Mask = Any | Callable[[Any], Any]
"""A tree of booleans that is a prefix of the parameters, or a function from them to one."""


def select(name: str, mask: Mask | None, tree: Any, params: Any) -> Any:
    """`tree` with `None` where the mask is False; all of it if there is no mask.

    Raises:
      TypeError: a leaf of the mask is no boolean.
      ValueError: the mask is no prefix of the parameters.
    """
    if mask is None:
        return tree
    chosen = mask(params) if callable(mask) and not _is_tree(mask) else mask

    def selected(keep: bool, subtree: Any) -> Any:
        return subtree if keep else jax.tree.map(lambda _: None, subtree, is_leaf=is_leaf)

    for path, keep in named_leaves(chosen):
        if keep is not None and not isinstance(keep, (bool, np.bool_)):
            raise TypeError(
                f"{name}: the mask must say True or False for each parameter, got "
                f"{what_it_is(keep)} at {path!r}; part of an array cannot be masked"
            )
    try:
        return jax.tree.map(selected, chosen, tree)
    except ValueError as error:
        raise ValueError(
            f"{name}: the mask must be a tree of booleans with the structure of the parameters, "
            f"or of a part of it from the root; expected {jax.tree.structure(tree)}, "
            f"got {jax.tree.structure(chosen)}"
        ) from error


def _is_tree(mask: Any) -> bool:
    """Whether it is a tree of booleans; one shaped like an Equinox model may be callable too."""
    leaves = jax.tree.leaves(mask)
    return bool(leaves) and all(isinstance(leaf, (bool, np.bool_)) for leaf in leaves)
