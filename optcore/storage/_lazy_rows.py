"""Optimizers that touch only the rows of a table that the batch uses."""

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
    """The state of the optimizer that is applied to rows.

    Attributes:
      inner: the state of `inner`, for whole tables.
    """

    inner: State


@transformation("wrapper", example={}, needs=("params",))
def lazy_rows(
    inner: GradientTransformation, decays: Mapping[str, Retention] | None = None
) -> GradientTransformation:
    r"""Let an optimizer take `RowSparse` gradients, at a cost that grows with the rows touched.

    Rows that occur several times are summed. Then the rows of the parameter, and of each array in
    the state that is shaped like it, are gathered, `inner` is applied to them, and they are put
    back. The update is also a `RowSparse`, which `apply_updates` adds. Dense gradients pass through
    `inner` as usual. In a jitted step with donated parameters and state, nothing is copied; without
    donation each step copies whole tables.

    Updates are lazy: a row without a gradient keeps its state and its value, whereas with a dense
    gradient of zeros momentum would continue and moments and weights would decay. So

    * gradient descent and AdaGrad, which ignore zero gradients, give the same results as with dense
      gradients;
    * moments and momentum of untouched rows do not change, and weight decay acts only on touched
      rows;
    * all rows share one step count: bias corrections and schedules depend on the number of updates
      made, not on those of a row. With Adam, the first step of a row that is first used late is
      `(1 - b1) / √(1 - b2)` times the rate, as with dense gradients.

    With `decays`, a row that is used again after `n` missed steps is first multiplied by `decay^n`
    in the named slots. If a slot obeys `s ← decay · s + r`, where `r` is 0 for a zero gradient,
    this gives exactly the slot of dense gradients: `rmsprop` with `decays={"nu": 0.9}` equals the
    dense one. So do Adam's moments with `decays={"mu": 0.9, "nu": 0.999}`, but the steps that
    momentum would have made in between are not made. It costs an int32 per row.

    Put other wrappers inside, where they get arrays: `lazy_rows(route(...))`, with another
    optimizer for parameters that are not tables, `lazy_rows(guard(...))`, `lazy_rows(store(...))`.

    Norms over the gradients (`clip_by_global_norm` inside or in front) equal those of dense
    gradients.

    Args:
      inner: an optimizer, direction or chain, from optcore or optax, that treats rows
        independently: each array of its state has a row per row of the table, or does not grow with
        the table.
      decays: decays by slot name, which is a field of the state: `"mu"`, `"nu"`, `"trace"`.

    Raises:
      ValueError: `inner` does not treat rows independently (Adafactor's column means, LAMB's
        norms), or accumulates gradients; its state has no slot with a name in `decays`; `params`
        was not given.

    Only the row with a gradient moves, though Adam with dense gradients would move all rows:

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
