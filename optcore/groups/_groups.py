"""Groups of leaves, each with a transformation of its own that sees no other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from .._core import (
    GradientTransformation,
    Init,
    State,
    Update,
    Updates,
    adapt,
    flatten_like,
    is_none,
    is_placeholder,
)

Assign = Callable[[Any], list[int | None]]
"""The number of the group of each leaf of a tree, of which `None` is one; `None` for no group."""


class Grouped(GradientTransformation):
    """A pair that can say which of its members takes which parameter."""

    members: Sequence[tuple[str, Any]]
    assign: Assign

    def __new__(
        cls, init: Init, update: Update, members: Sequence[tuple[str, Any]], assign: Assign
    ) -> "Grouped":
        self = tuple.__new__(cls, (init, update))
        self.members, self.assign = members, assign
        return self


def split(tree: Any, numbers: Sequence[int | None], groups: int) -> list[Any]:
    """One tree per group, with `None` for the leaves of the others."""
    leaves, treedef = jax.tree.flatten(tree, is_leaf=is_none)
    return [
        treedef.unflatten([x if n == i else None for x, n in zip(leaves, numbers, strict=True)])
        for i in range(groups)
    ]


class Groups:
    """Transformations side by side; what belongs to none passes through.

    Args:
      transformations: one per group.
      assign: which leaf belongs where; asked of the parameters, and if `update` is not given
        them, of the updates.
      mask_extras: whether extra arguments that are trees like the parameters are split too.
    """

    def __init__(
        self,
        owner: str,
        transformations: Sequence[Any],
        assign: Assign,
        mask_extras: bool = False,
    ) -> None:
        self.transformations = [adapt(tx) for tx in transformations]
        self.assign = assign
        self.mask_extras = mask_extras

    def init(self, params: Any) -> list[State]:
        """The states of all groups."""
        if is_placeholder(params):
            return [tx.init(params) for tx in self.transformations]
        trees = split(params, self.assign(params), len(self.transformations))
        return [tx.init(tree) for tx, tree in zip(self.transformations, trees, strict=True)]

    def update(
        self, updates: Updates, states: Sequence[State], params: Any, extra: Mapping[str, Any]
    ) -> tuple[Updates, list[State]]:
        """The updates of all groups in one tree, and the next states."""
        groups = len(self.transformations)
        like = updates if params is None else params
        numbers = self.assign(like)
        leaves, treedef = jax.tree.flatten(updates, is_leaf=is_none)
        like_tree = jax.tree.structure(like, is_leaf=is_none)
        # `None` among the updates may stand for a whole subtree of the parameters.
        own = flatten_like(treedef, like_tree.unflatten(numbers))
        own = [None if g is None else n for g, n in zip(leaves, own, strict=True)]

        parts = split(updates, own, groups)
        params_parts = [None] * groups if params is None else split(params, numbers, groups)
        extras = self._extras(extra, like, numbers)
        columns, new_states = [], []
        for i, tx in enumerate(self.transformations):
            part, state = tx.update(parts[i], states[i], params_parts[i], **extras[i])
            columns.append(flatten_like(treedef, part))
            new_states.append(state)
        merged = [
            g if n is None else columns[n][j]
            for j, (g, n) in enumerate(zip(leaves, own, strict=True))
        ]
        return treedef.unflatten(merged), new_states

    def _extras(
        self, extra: Mapping[str, Any], like: Any, numbers: Sequence[int | None]
    ) -> list[dict[str, Any]]:
        groups = len(self.transformations)
        extras = [dict(extra) for _ in range(groups)]
        if self.mask_extras:
            structure = jax.tree.structure(like)
            for name, value in extra.items():
                if jax.tree.structure(value) == structure:
                    for i, part in enumerate(split(value, numbers, groups)):
                        extras[i][name] = part
        return extras
