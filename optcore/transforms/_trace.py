"""Momentum: a running sum of the updates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    DType,
    GradientTransformation,
    Retention,
    Updates,
    per_leaf,
    slots,
    transformation,
    zero_count,
)


class TraceState(NamedTuple):
    """The running sum.

    Attributes:
      trace: the sum, like the parameters.
      count: int32, updates made so far; only with dampening.
    """

    trace: Updates
    count: jax.Array | None = None  # type: ignore[assignment]


@transformation("direction", example={"decay": 0.9})
def trace(
    decay: Retention,
    nesterov: bool = False,
    accumulator_dtype: DType | None = None,
    *,
    dampening: Retention | None = None,
) -> GradientTransformation:
    """Momentum as a running sum: `m_t = decay · m_{t-1} + g_t` (Polyak, 1964).

    The update is `m_t`; with `nesterov` it is `decay · m_t + g_t` (Sutskever et al., 2013).
    With `dampening` `d`, new gradients count `1 - d` from the second step on:
    `m_1 = g_1`, `m_t = decay · m_{t-1} + (1 - d) · g_t`, as in `torch.optim.SGD`.

    A constant gradient is amplified by `1 / (1 - decay)`. For a running *average*, which does not
    amplify, use `ema`.

    Args:
      decay: in [0, 1]; 1 gives the plain sum of all updates.
      nesterov: look one step ahead.
      accumulator_dtype: of the sum; by default the parameter's, at least float32.
      dampening: in [0, 1], or `None` for none.

    >>> import jax.numpy as jnp
    >>> tx = trace(0.9)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(3):
    ...     update, state = tx.update(jnp.float32(1.0), state)
    >>> round(update.item(), 6)
    2.71
    """

    def init(params):
        count = None if dampening is None else zero_count()
        return TraceState(slots(params, accumulator_dtype), count)

    weights = None if dampening is None else lambda t: (jnp.where(t == 1, 1.0, 1 - dampening),)

    def leaf(g, m, weight=None):
        m = decay * m + (g if weight is None else weight * g)
        return (decay * m + g if nesterov else m), m

    return per_leaf(init, leaf, ("trace",), scalars=weights)
