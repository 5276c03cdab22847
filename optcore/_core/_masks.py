"""Masks: trees of booleans, or functions that make one from the parameters."""

from collections.abc import Callable
from typing import Any

import jax

Mask = Any | Callable[[Any], Any]
"""A tree of booleans that is a prefix of the parameters, or a function from them to one."""


def select(name: str, mask: Mask | None, tree: Any, params: Any) -> Any:
    """`tree` with `None` where the mask is False; all of it if there is no mask.

    Raises:
      ValueError: the mask is no prefix of the parameters.
    """
    if mask is None:
        return tree
    chosen = mask(params) if callable(mask) else mask
    try:
        return jax.tree.map(lambda keep, subtree: subtree if keep else None, chosen, tree)
    except ValueError as error:
        raise ValueError(
            f"{name}: the mask must be a tree of booleans with the structure of the parameters, "
            f"or of a part of it from the root; expected {jax.tree.structure(tree)}, "
            f"got {jax.tree.structure(chosen)}"
        ) from error
