"""Masks: trees of booleans, or functions that make one from the parameters."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._match import spread
from ._paths import is_leaf, named_leaves, what_it_is
from ._placeholder import is_partial
from ._types import EmptyState, Init, Params, State

Mask = Any | Callable[[Any], Any]
"""A tree of booleans that is a prefix of the parameters, or a function from them to one; or a
predicate, such as `has_ndim(2)`, that is asked of each."""


def select(name: str, mask: Mask | None, tree: Any, params: Any) -> Any:
    """`tree` with `None` where the mask is False; the whole tree if there is no mask.

    Mask and tree are matched by the paths of their leaves, ignoring boxes around leaves.

    Raises:
      TypeError: a leaf of the mask is not a boolean.
      ValueError: the mask is not a prefix of the parameters.
    """
    if mask is None:
        return tree
    if hasattr(mask, "on_tree"):
        chosen = mask.on_tree(params)
    else:
        chosen = mask(params) if callable(mask) and not _is_tree(mask) else mask
    for path, keep in named_leaves(chosen):
        if keep is not None and not isinstance(keep, (bool, np.bool_)):
            raise TypeError(
                f"{name}: the mask must be True or False for each parameter, got "
                f"{what_it_is(keep)} at {path!r}; part of an array cannot be masked"
            )
    leaves, treedef = jax.tree.flatten(tree, is_leaf=is_leaf)
    marks = spread(chosen, tree, f"{name}: the mask", "booleans")
    return treedef.unflatten([x if keep else None for x, keep in zip(leaves, marks, strict=True)])


def fitting(init: Init | None, *masks: tuple[str, Mask | None]) -> Init:
    """An `init` that refuses masks that do not fit the parameters; each mask comes with its owner.

    By default the state is empty. The parameters may also be a single array.
    """

    def checked(params: Params) -> State:
        alone = jax.tree_util.all_leaves([params])
        for name, mask in masks:
            if not alone and not is_partial(params):
                select(name, mask, params, params)
        return EmptyState() if init is None else init(params)

    return checked


def _is_tree(mask: Any) -> bool:
    """Whether it is a tree of booleans; one shaped like an Equinox model may be callable too."""
    leaves = jax.tree.leaves(mask)
    return bool(leaves) and all(isinstance(leaf, (bool, np.bool_)) for leaf in leaves)
