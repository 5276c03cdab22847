"""Momentum: a running sum of the updates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Decay,
    DType,
    GradientTransformation,
    Hyperparameter,
    Leafwise,
    Params,
    Updates,
    increment,
    map_leaves,
    slots,
    transformation,
)


class TraceState(NamedTuple):
    """The running sum.

    Attributes:
      trace: the sum, like the parameters.
      count: int32, updates made so far; only with dampening.
    """

    trace: Updates
    count: jax.Array | None = None  # type: ignore[assignment]


def _weight(count: jax.Array, dampening: Hyperparameter) -> jax.Array:
    """How much the gradient counts: 1 at the first step, `1 - dampening` later."""
    return jnp.where(count == 0, 1.0, 1 - dampening)


@transformation("direction", example={"decay": 0.9})
def trace(
    decay: Decay,
    nesterov: bool = False,
    accumulator_dtype: DType | None = None,
    *,
    dampening: Decay | None = None,
) -> GradientTransformation:
    """Momentum as a running sum: `m_t = decay · m_{t-1} + g_t` (Polyak, 1964).

    The update is `m_t`; with `nesterov` it is `decay · m_t + g_t` (Sutskever et al., 2013).
    With `dampening` `d`, new gradients count `1 - d` from the second step on:
    `m_1 = g_1`, `m_t = decay · m_{t-1} + (1 - d) · g_t`, as in `torch.optim.SGD`.

    A constant gradient is amplified `1 / (1 - decay)` times; the running *average*, which is
    not, is `ema`.

    Args:
      decay: in [0, 1).
      nesterov: look one step ahead.
      accumulator_dtype: of the sum; by default the parameter's, at least float32.
      dampening: in [0, 1), or `None` for none.

    >>> import jax.numpy as jnp
    >>> tx = trace(0.9)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(3):
    ...     update, state = tx.update(jnp.float32(1.0), state)
    >>> round(update.item(), 6)
    2.71
    """

    def init(params: Params) -> TraceState:
        count = None if dampening is None else jnp.zeros((), jnp.int32)
        return TraceState(slots(params, accumulator_dtype), count)

    def update(
        updates: Updates, state: TraceState, params: Params | None = None, **extra: object
    ) -> tuple[Updates, TraceState]:
        count, weights = None, []
        if state.count is not None:
            count, weights = increment(state.count), [_weight(state.count, dampening)]

        def leaf(g: jax.Array, m: jax.Array, *weight: jax.Array) -> tuple[jax.Array, ...]:
            m = decay * m + (weight[0] * g if weight else g)
            return (decay * m + g if nesterov else m), m

        updates, m = map_leaves(leaf, updates, (state.trace,), scalars=weights)
        return updates, TraceState(m, count)

    return Leafwise(init, update)
