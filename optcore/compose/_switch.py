"""One optimizer after another."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Length,
    Params,
    State,
    Updates,
    adapt,
    check_boundaries,
    cond,
    increment,
    is_absent,
    select_branch,
    transformation,
    wide,
    zero_count,
)
from ..transforms import scale_by_learning_rate
from ._chain import example_momentum


class SwitchState(NamedTuple):
    """The step count, and the states of all optimizers.

    Attributes:
      count: int32, updates made so far.
      inner: the state of each; the states of earlier optimizers stay as they were left.
    """

    count: jax.Array  # type: ignore[assignment]
    inner: tuple[State, ...]


def _momentum_then_descent() -> GradientTransformation:
    return switch([example_momentum(), scale_by_learning_rate(0.1)], [1])


@transformation("wrapper", example=_momentum_then_descent, partial="steps", per_example="results")
def switch(
    inner: Sequence[GradientTransformation], boundaries: Sequence[Length]
) -> GradientTransformation:
    """Change from one optimizer to the next at given steps, like `join_schedules`.

    The step with count `t` (from 0) is made by the optimizer number `k`, where `k` is the number
    of boundaries that are at most `t`. Each has its own state and its own count: a later one starts
    fresh at its first step, from the current parameters if `update` is given them. So its schedules
    and bias corrections begin at 0, and its moments at zero.

    Only the active one runs (`lax.switch`); under `vmap` over the state all of them run, and one
    result is selected. The states of all take memory from the beginning.

    Args:
      inner: at least one; optimizers, or all of them directions.
      boundaries: the counts at which the second and later ones start, ≥ 1 and increasing; static.

    Raises:
      ValueError: the boundaries are not one fewer than the optimizers, or do not increase; an
        optimizer contains `dynamic_loss_scale`, which must be outside.

    Momentum for two steps, then none:

    >>> import jax.numpy as jnp, optcore
    >>> tx = switch([optcore.sgd(1.0, momentum=0.5), optcore.sgd(0.1)], [2])
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(4):
    ...     update, state = tx.update(jnp.ones(()), state)
    ...     print(round(update.item(), 4))
    -1.0
    -1.5
    -0.1
    -0.1
    """
    check_boundaries("switch", "optimizers", len(inner), boundaries)
    members = [adapt(tx) for tx in inner]
    starts = jnp.array(boundaries, jnp.int32)

    def init(params: Params) -> SwitchState:
        return SwitchState(zero_count(), tuple(member.init(params) for member in members))

    def update(
        updates: Updates, state: SwitchState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SwitchState]:
        def branch(k: int) -> Callable[[], tuple[Updates, tuple[State, ...]]]:
            def run() -> tuple[Updates, tuple[State, ...]]:
                own = state.inner[k]
                if k and params is not None:
                    first = state.count == boundaries[k - 1]
                    own = cond(first, lambda: members[k].init(params), lambda: own)
                steps, own = members[k].update(updates, own, params, **extra)
                steps = jax.tree.map(_as_update, updates, steps, is_leaf=is_absent)
                return steps, (*state.inner[:k], own, *state.inner[k + 1 :])

            return run

        turn = jnp.sum(state.count >= starts, dtype=jnp.int32)
        steps, states = select_branch(turn, [branch(k) for k in range(len(members))])
        return steps, SwitchState(increment(state.count), states)

    return GradientTransformation(init, update)


def _as_update(g: Any, u: Any) -> Any:
    """An update in the dtype that all members have to agree on."""
    return u if is_absent(g) or u is None else jnp.asarray(u, wide(g.dtype))
