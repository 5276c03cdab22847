"""The extra arguments of `update` that each group of parameters gets."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .._core import is_none, spread

VALUES = ("value_fn", "obj_fn")
"""Functions from the parameters to a number."""
GRADIENTS = ("grad_fn",)
"""Functions from the parameters to a tree like them."""
TREES = ("grad",)
"""Trees like the parameters, whatever their shapes."""

Numbers = Sequence[int | None]


def split(tree: Any, numbers: Numbers, groups: int) -> list[Any]:
    """One tree per group, with `None` for the leaves of the others."""
    leaves, treedef = jax.tree.flatten(tree, is_leaf=is_none)
    return [
        treedef.unflatten([x if n == i else None for x, n in zip(leaves, numbers, strict=True)])
        for i in range(groups)
    ]


def split_extras(
    owner: str,
    extra: Mapping[str, Any],
    like: Any,
    numbers: Numbers,
    groups: int,
    split_trees: bool | None,
    params: Any,
) -> list[dict[str, Any]]:
    """The extra arguments of each group.

    Trees of all parameters are split like the gradients. A function of all parameters becomes a
    function of the parameters of the group, with the others unchanged; the group gets its own part
    of the gradients that the function returns.

    Args:
      owner: for messages.
      extra: the arguments.
      like: a tree like the parameters.
      numbers: the group of each leaf of `like`; `None` counts as a leaf.
      groups: the number of groups.
      split_trees: whether trees with the structure of the parameters are split: all, none, or with
        `None` those that also have the shapes; gradients always are.
      params: the parameters; with `None` they are unknown, and functions stay unchanged.
    """
    extras = [dict(extra) for _ in range(groups)]
    for name, value in extra.items():
        if callable(value) and params is not None and name in (*VALUES, *GRADIENTS):
            for i in range(groups):
                extras[i][name] = _closed(owner, name, value, params, numbers, i)
        elif name in TREES and value is not None:
            for i in range(groups):
                extras[i][name] = _own(owner, name, value, like, numbers, i)
        elif _is_like(value, like, split_trees):
            for i, part in enumerate(split(value, numbers, groups)):
                extras[i][name] = part
    return extras


def _is_like(value: Any, like: Any, split_trees: bool | None) -> bool:
    if split_trees is False or jax.tree.structure(value) != jax.tree.structure(like):
        return False
    if split_trees:
        return True
    # A number does not count as a tree of one parameter.
    alone = jax.tree_util.all_leaves([like])
    return not alone and all(
        hasattr(x, "shape") and np.shape(x) == np.shape(p)
        for x, p in zip(jax.tree.leaves(value), jax.tree.leaves(like), strict=True)
    )


def _closed(
    owner: str,
    name: str,
    function: Callable[..., Any],
    params: Any,
    numbers: Numbers,
    group: int,
) -> Callable[..., Any]:
    """The function of the parameters of one group, with all others as they are."""

    @functools.wraps(function)
    def of_group(part: Any, *args: Any, **kwargs: Any) -> Any:
        leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
        own = jax.tree.leaves(part, is_leaf=is_none)
        whole = [p if q is None else q for p, q in zip(leaves, own, strict=True)]
        found = function(treedef.unflatten(whole), *args, **kwargs)
        if name in VALUES:
            return found
        return _own(owner, name, found, params, numbers, group)

    return of_group


def _own(owner: str, name: str, tree: Any, like: Any, numbers: Numbers, group: int) -> Any:
    """The leaves of one group in a tree like the parameters."""
    marks = [-1 if n is None else n for n in numbers]
    given = jax.tree.structure(like, is_leaf=is_none).unflatten(marks)
    try:
        found = spread(given, tree, "the parameters", "numbers", is_none)
    except ValueError as error:
        raise ValueError(
            f"{owner}: {name!r} must be a tree like the parameters, or return one, since each "
            f"group sees its own part of it; got {jax.tree.structure(tree)}, expected "
            f"{jax.tree.structure(like)}"
        ) from error
    leaves, treedef = jax.tree.flatten(tree, is_leaf=is_none)
    return treedef.unflatten(x if n == group else None for x, n in zip(leaves, found, strict=True))
