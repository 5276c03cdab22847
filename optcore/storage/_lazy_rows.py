"""Optimizers that touch the rows of a table which the batch has seen, and no others."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from .._core import (
    GradientTransformation,
    Leafwise,
    Params,
    Retention,
    State,
    Updates,
    adapt,
    flatten_like,
    is_leaf,
    settle,
    transformation,
)
from ._catch_up import catching_up
from ._row_slots import check_independent, slot_owners
from ._row_sparse import RowSparse


class LazyRowsState(NamedTuple):
    """The state of what is applied to rows.

    Attributes:
      inner: its state, for whole tables.
    """

    inner: State


@transformation("wrapper", example={}, needs=("params",))
def lazy_rows(
    inner: GradientTransformation, decays: Mapping[str, Retention] | None = None
) -> GradientTransformation:
    r"""Let an optimizer take `RowSparse` gradients, at a cost that grows with the rows touched.

    Rows that stand several times are summed. Then the rows of the parameter and of whatever in
    the state is shaped like it are gathered, `inner` is applied to them, and they are put back.
    The update is a `RowSparse` too, which `apply_updates` adds. Dense gradients pass as they are.
    In a jitted step that parameters and state are donated to, nothing is copied; without donation
    each step copies whole tables.

    What is lazy about it: a row without a gradient keeps its state and its value, where a dense
    gradient of zeros would let momentum go on, moments decay and weights decay. So

    * gradient descent and AdaGrad, for which a zero gradient does nothing, are the same as with
      dense gradients;
    * moments and momentum stand still for rows that are not touched, and weight decay acts on
      touched rows alone;
    * there is one step count for all rows, as everywhere: bias corrections and schedules go by
      the updates made, not by those of a row. The first step of a row that is seen late is
      `(1 - b1) / √(1 - b2)` rates long with Adam, as it is with dense gradients.

    With `decays`, a row that comes back after `n` steps without it is first multiplied by
    `decay^n`, in the slots that are named. Where a slot obeys
    `s ← decay · s + (what a zero gradient makes zero)`, that is exactly what dense gradients would
    have made of it: `rmsprop` with `decays={"nu": 0.9}` equals the dense one. Adam's moments with
    `decays={"mu": 0.9, "nu": 0.999}` do too, but the steps that momentum would have made in
    between stay unmade. It costs an int32 per row.

    Other wrappers stand inside, where they get arrays: `lazy_rows(partition(...))`, with another
    optimizer for what is no table, `lazy_rows(guard(...))`, `lazy_rows(store(...))`.

    Norms over the gradients (`clip_by_global_norm` inside or in front) are those of the dense
    ones.

    Args:
      inner: an optimizer, direction or chain, ours or optax's, that is per row: each array of
        its state has a row per row of the table, or does not grow with it.
      decays: the decay by the name of the slot, the field of the state: `"mu"`, `"nu"`, `"trace"`.

    Raises:
      ValueError: `inner` is not per row (Adafactor's column means, LAMB's norms), or
        accumulates gradients; its state has no slot of a name in `decays`; `params` was not
        given.

    Only the row that was seen has moved, though Adam would move them all:

    >>> import jax.numpy as jnp, optcore
    >>> tx = lazy_rows(optcore.adam(0.5))
    >>> table = jnp.ones((3, 2))
    >>> state = tx.init(table)
    >>> for row in (0, 2):
    ...     g = RowSparse(jnp.array([row]), jnp.array([[1.0, -4.0]]), table.shape)
    ...     update, state = tx.update(g, state, params=table)
    >>> optcore.apply_updates(table, update).round(2).tolist()
    [[1.0, 1.0], [1.0, 1.0], [0.63, 1.37]]
    """
    given, inner = inner, adapt(inner)
    if decays is not None:
        inner = catching_up(inner, decays)

    def init(params: Params) -> LazyRowsState:
        return LazyRowsState(inner.init(params))

    def update(
        updates: Updates, state: LazyRowsState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, LazyRowsState]:
        grads, treedef = jax.tree.flatten(settle(updates), is_leaf=is_leaf)
        tables = {i: g.summed() for i, g in enumerate(grads) if isinstance(g, RowSparse)}
        if not tables:
            updates, new = inner.update(updates, state.inner, params, **extra)
            return updates, LazyRowsState(new)
        values = flatten_like(treedef, params)
        owners = slot_owners(inner, state.inner, tables, values, treedef)
        check_independent(given)
        slots, structure = jax.tree.flatten(state.inner)

        def rows(owner: int | None, array: Any) -> Any:
            return array if owner not in tables else tables[owner].rows_of(array)

        steps, new = inner.update(
            treedef.unflatten(tables[i].values if i in tables else g for i, g in enumerate(grads)),
            structure.unflatten(map(rows, owners, slots)),
            treedef.unflatten(map(rows, range(len(values)), values)),
            **extra,
        )
        made = enumerate(flatten_like(treedef, steps))
        kept = zip(owners, slots, jax.tree.leaves(new), strict=True)
        return (
            treedef.unflatten(tables[i].with_values(u) if i in tables else u for i, u in made),
            LazyRowsState(
                structure.unflatten(
                    tables[o].placed_in(old, s) if o in tables else s for o, old, s in kept
                )
            ),
        )

    return Leafwise(init, update)
