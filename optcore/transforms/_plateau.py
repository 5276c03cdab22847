"""Reduce the rate when a value has stopped falling."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Count,
    GradientTransformation,
    Hyperparameter,
    Leafwise,
    Length,
    Range,
    Rate,
    map_leaves,
    real_scalar,
    transformation,
    zero_count,
)

Fraction = Annotated[Hyperparameter, Range(0, 1, open_low=True)]
Tolerance = Annotated[Hyperparameter, Range(0, 1, closed=True)]


class ReduceLROnPlateauState(NamedTuple):
    """Statistics of the value. All are scalars: float32, and int32 for the counts.

    Attributes:
      scale: the factor in use.
      best_value: the lowest average so far.
      plateau_count: averages since the last improvement.
      cooldown_count: averages still to be ignored after a reduction.
      count: values in the running average.
      avg_value: the running average.
    """

    scale: jax.Array
    best_value: jax.Array
    plateau_count: jax.Array
    cooldown_count: jax.Array
    count: jax.Array  # type: ignore[assignment]
    avg_value: jax.Array


@transformation("transform", example={"patience": 2}, needs=("value",))
def reduce_on_plateau(
    factor: Fraction = 0.1,
    patience: Length = 10,
    rtol: Tolerance = 1e-4,
    atol: Rate = 0.0,
    cooldown: Count = 0,
    accumulation_size: Length = 1,
    min_scale: Tolerance = 0.0,
) -> GradientTransformation:
    """Multiply the updates by a scale that shrinks when `value` has stopped falling.

    `update` takes the keyword `value`, such as the loss. It is averaged over `accumulation_size`
    calls. An average below `best - rtol · |best| - atol` is an improvement, for losses of either
    sign. After `patience` averages in a row without an improvement, the scale is multiplied by
    `factor`, and the next `cooldown` averages are not counted. A NaN is never an improvement. The
    scale is in the state, so nothing is recompiled.

    torch's `ReduceLROnPlateau(patience=n)` waits for one average more: `patience=n + 1` here.

    Args:
      factor: in (0, 1).
      patience: ≥ 1, averages.
      rtol: in [0, 1], relative to the best average.
      atol: ≥ 0.
      cooldown: ≥ 0, averages.
      accumulation_size: ≥ 1, calls; more than 1 for noisy values of mini-batches.
      min_scale: in [0, 1]; the scale does not fall below it.

    Raises:
      ValueError: `update` was not given `value`, or it is not a real scalar.

    >>> import jax.numpy as jnp
    >>> tx = reduce_on_plateau(factor=0.5, patience=2)
    >>> state, scales = tx.init(jnp.float32(0.0)), []
    >>> for value in (1.0, 0.9, 0.9, 0.9, 0.8):
    ...     update, state = tx.update(jnp.float32(1.0), state, value=value)
    ...     scales.append(update.item())
    >>> scales
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def init(params):
        return ReduceLROnPlateauState(
            scale=jnp.ones((), jnp.float32),
            best_value=jnp.full((), jnp.inf, jnp.float32),
            plateau_count=zero_count(),
            cooldown_count=zero_count(),
            count=zero_count(),
            avg_value=jnp.zeros((), jnp.float32),
        )

    def judge(state):
        best, average = state.best_value, state.avg_value
        first = jnp.isinf(best)
        target = best - (rtol * jnp.abs(jnp.where(first, 0, best)) + atol)
        better = average < target
        cooling = state.cooldown_count > 0
        bad = jnp.where(better | cooling, 0, state.plateau_count + 1)
        reduce = bad >= patience
        scale = jnp.where(reduce, jnp.maximum(state.scale * factor, min_scale), state.scale)
        return ReduceLROnPlateauState(
            scale=scale,
            best_value=jnp.where(better, average, best),
            plateau_count=jnp.where(reduce, 0, bad),
            cooldown_count=jnp.where(reduce, cooldown, jnp.maximum(state.cooldown_count - 1, 0)),
            count=jnp.zeros_like(state.count),
            avg_value=jnp.zeros_like(average),
        )

    def update(updates, state, params=None, *, value=jnp.nan, **extra):
        count = state.count + 1
        seen = real_scalar("reduce_on_plateau", value).astype(jnp.float32)
        average = state.avg_value + (seen - state.avg_value) / count.astype(jnp.float32)
        state = state._replace(count=count, avg_value=average)
        judged = judge(state)
        full = count >= accumulation_size
        state = jax.tree.map(lambda new, old: jnp.where(full, new, old), judged, state)
        scalars = (state.scale,)
        updates = map_leaves(lambda g, scale: scale * g, updates, scalars=scalars, rows=True)
        return updates, state

    return Leafwise(init, update)
