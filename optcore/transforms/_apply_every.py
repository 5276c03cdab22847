"""Updates that wait for each other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Leafwise,
    Length,
    Updates,
    map_leaves,
    slots,
    transformation,
    zero_count,
)


class ApplyEveryState(NamedTuple):
    """The updates that wait.

    Attributes:
      count: int32, how many steps have been added up, from 0 to `k - 1`.
      grad_acc: their sum.
    """

    count: jax.Array  # type: ignore[assignment]
    grad_acc: Updates


@transformation("transform", example={"k": 2})
def apply_every(k: Length = 1) -> GradientTransformation:
    """Add updates up, and give their sum every `k`-th step; zero in between.

    What stands in front of it in a chain works on every step. A non-finite update spoils only
    the sum that it is part of.

    Args:
      k: a number of steps, ≥ 1.

    >>> import jax.numpy as jnp
    >>> tx = apply_every(3)
    >>> state, given = tx.init(jnp.float32(0.0)), []
    >>> for g in (1.0, 2.0, 3.0, 4.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     given.append(update.item())
    >>> given
    [0.0, 0.0, 6.0, 0.0]
    """

    def init(params):
        return ApplyEveryState(zero_count(), slots(params))

    def leaf(g, a, emit):
        total = a + g
        return jnp.where(emit, total, 0), jnp.where(emit, 0, total)

    def update(updates, state, params=None, **extra):
        emit = state.count >= k - 1
        updates, total = map_leaves(leaf, updates, (state.grad_acc,), scalars=(emit,))
        return updates, ApplyEveryState(jnp.where(emit, 0, state.count + 1), total)

    return Leafwise(init, update)
