"""Groups of leaves, each with a transformation of its own that sees no other leaves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from .._core import (
    Aggregation,
    GradientTransformation,
    Init,
    State,
    Update,
    Updates,
    adapt,
    aggregates,
    aggregation_of,
    flatten_like,
    freezes,
    is_none,
    is_placeholder,
    without_examples,
)
from ._extras import split, split_extras

Assign = Callable[[Any], list[int | None]]
"""The number of the group of each leaf (`None` counts as a leaf); `None` for no group."""


class Grouped(GradientTransformation):
    """A pair that knows which of its members takes which parameter, and can sum over examples."""

    members: Sequence[tuple[str, Any]]
    assign: Assign
    aggregation: Aggregation | None

    def __new__(
        cls,
        init: Init,
        update: Update,
        members: Sequence[tuple[str, Any]],
        assign: Assign,
        aggregation: Aggregation | None = None,
    ) -> "Grouped":
        self = tuple.__new__(cls, (init, update))
        self.members, self.assign, self.aggregation = members, assign, aggregation
        return self


def own_numbers(
    treedef: Any, leaves: Sequence[Any], like: Any, numbers: Sequence[int | None]
) -> list[int | None]:
    """The groups of a tree's leaves, where `None` may replace a subtree of the parameters."""
    like_tree = jax.tree.structure(like, is_leaf=is_none)
    own = flatten_like(treedef, like_tree.unflatten(numbers))
    return [None if g is None else n for g, n in zip(leaves, own, strict=True)]


class Groups:
    """Transformations side by side; leaves without a group pass through.

    Args:
      transformations: one per group.
      assign: the group of each leaf, computed from the parameters, or from the updates if `update`
        is not given parameters.
      split_trees: which extra arguments are split too, see `split_extras`.
    """

    def __init__(
        self,
        owner: str,
        transformations: Sequence[Any],
        assign: Assign,
        split_trees: bool | None = None,
    ) -> None:
        self.owner = owner
        self.frozen = [freezes(tx) for tx in transformations]
        self.examples = any(map(aggregates, transformations))
        self.transformations = [adapt(tx) for tx in transformations]
        self.assign = assign
        self.split_trees = split_trees

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
        like = without_examples(updates) if self.examples and params is None else updates

        def step(i: int, part: Updates, own: Any, extra: Mapping[str, Any]) -> tuple[Any, State]:
            if self.examples and self.frozen[i]:
                part = without_examples(part)
            return self.transformations[i].update(part, states[i], own, **extra)

        return self._each(step, updates, like, params, extra)

    def aggregation(self) -> Aggregation | None:
        """The sums over examples of all groups, and their steps; `None` if one has no sum."""
        if not self.examples:
            return None
        parts = [
            None if frozen else aggregation_of(tx)
            for tx, frozen in zip(self.transformations, self.frozen, strict=True)
        ]
        if any(p is None and not f for p, f in zip(parts, self.frozen, strict=True)):
            return None

        def total(
            updates: Updates, states: Sequence[State], params: Any, extra: Mapping[str, Any]
        ) -> Updates:
            def summed(i: int, part: Updates, own: Any, extra: Mapping[str, Any]) -> Any:
                of_group = parts[i]
                if of_group is None:
                    return without_examples(part), None
                return of_group.total(part, states[i], own, extra), None

            like = without_examples(updates) if params is None else updates
            return self._each(summed, updates, like, params, extra)[0]

        def finish(
            total: Updates,
            examples: Any,
            states: Sequence[State],
            params: Any,
            extra: Mapping[str, Any],
        ) -> tuple[Updates, list[State]]:
            def step(i: int, part: Updates, own: Any, extra: Mapping[str, Any]) -> Any:
                of_group = parts[i]
                if of_group is None:
                    return self.transformations[i].update(part, states[i], own, **extra)
                return of_group.finish(part, examples, states[i], own, extra)

            return self._each(step, total, total, params, extra)

        return Aggregation(total, finish)

    def _each(
        self,
        step: Callable[[int, Updates, Any, Mapping[str, Any]], tuple[Any, Any]],
        updates: Updates,
        like: Updates,
        params: Any,
        extra: Mapping[str, Any],
    ) -> tuple[Updates, list[Any]]:
        """The merged results of `step(group, updates, params, extra)` for all groups."""
        groups = len(self.transformations)
        like = like if params is None else params
        numbers = self.assign(like)
        leaves, treedef = jax.tree.flatten(updates, is_leaf=is_none)
        own = own_numbers(treedef, leaves, like, numbers)
        parts = split(updates, own, groups)
        params_parts = [None] * groups if params is None else split(params, numbers, groups)
        extras = split_extras(self.owner, extra, like, numbers, groups, self.split_trees, params)
        columns, others = [], []
        for i in range(groups):
            part, other = step(i, parts[i], params_parts[i], extras[i])
            columns.append(flatten_like(treedef, part))
            others.append(other)
        merged = [
            g if n is None else columns[n][j]
            for j, (g, n) in enumerate(zip(leaves, own, strict=True))
        ]
        return treedef.unflatten(merged), others
