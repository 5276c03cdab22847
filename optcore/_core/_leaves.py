"""The map over leaves, which handles precision, `None`, and one trace per distinct leaf."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax

from ._paths import refuse_one_leaf
from ._tape import Tape, Waiting, settle

Leaf = Callable[..., Any]


def map_leaves(
    leaf: Leaf,
    updates: Any,
    slots: Sequence[Any] = (),
    reads: Sequence[Any] = (),
    scalars: Iterable[jax.Array] = (),
    *,
    rows: bool = False,
) -> Any:
    """Lift an algorithm written for one array to trees.

    `leaf(g, *slots, *reads, *scalars)` returns the update, or `(update, *slots)` if there are
    slots; the result is the tree of updates, or a tuple of it and one tree per slot.

    * Everything is computed in float32 or wider. Each slot keeps the dtype it has; updates
      come out in the dtype of computation.
    * Where the update is `None` (or float0), the result is `None` and the slots do not change.
    * Under tracing, `leaf` is traced once per distinct signature of its arrays.
    * `scalars` are values of the step, computed once and not again in every kernel.
    * In a chain, consecutive calls are played as one.

    Args:
      leaf: the algorithm for one array; it may close over hyper-parameters.
      updates: a tree of arrays.
      slots: trees of state; each has an array or `None` per update.
      reads: trees that are only read, like the parameters.
      scalars: traced scalars of the step, such as bias corrections.
      rows: whether the result of `leaf` for rows with a gradient does not depend on rows without
        one; then it is applied only to the rows of a `RowSparse`.

    Raises:
      TypeError: an update is a `RowSparse`, and there are slots or `rows` is False.

    >>> import jax.numpy as jnp
    >>> def momentum(g, m):
    ...     m = 0.5 * m + g
    ...     return -m, m
    >>> map_leaves(momentum, {"w": jnp.float32(1.0)}, ({"w": jnp.float32(2.0)},))
    ({'w': Array(-2., dtype=float32)}, {'w': Array(2., dtype=float32)})
    """
    # Settle the trees that the stage reads first: this may play the tape of the updates.
    slots, reads = settle(tuple(slots)), settle(tuple(reads))
    follows = isinstance(updates, Waiting) and updates.tape.is_open_at(updates.step)
    tape = updates.tape if follows else Tape(settle(updates))
    if tape.whole and (slots or not rows):
        refuse_one_leaf(tape.treedef.unflatten(tape.leaves))
    results = tape.append(leaf, slots, reads, scalars)
    if not (isinstance(updates, Waiting) and tape.traced):
        results = tuple(waiting.settle() for waiting in results)
    return results if slots else results[0]
