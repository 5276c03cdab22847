"""Multiplication by a number: constant, scheduled, or a learning rate with its sign."""

from .._core import (
    GradientTransformation,
    Hyperparameter,
    Rate,
    per_leaf,
    transformation,
)
from ..schedules import linear_schedule


@transformation("transform", example={"step_size": 0.5}, per_example="single")
def scale(step_size: Hyperparameter) -> GradientTransformation:
    """Multiply every update by `step_size`, of either sign.

    >>> import jax.numpy as jnp
    >>> tx = scale(-0.5)
    >>> tx.update(jnp.float32(3.0), tx.init(jnp.float32(0.0)))[0].item()
    -1.5
    """
    return per_leaf(None, lambda g: step_size * g, rows=True)


@transformation("transform", example={"learning_rate": 0.1}, stage="rate", per_example="single")
def scale_by_learning_rate(
    learning_rate: Rate, *, flip_sign: bool = True
) -> GradientTransformation:
    """Turn a direction of ascent into a step of descent: `u = -learning_rate · g`.

    Args:
      learning_rate: ≥ 0.
      flip_sign: multiply by `-learning_rate`; otherwise by `learning_rate`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_learning_rate(0.5)
    >>> tx.update(jnp.float32(3.0), tx.init(jnp.float32(0.0)))[0].item()
    -1.5
    """
    sign = -1 if flip_sign else 1
    return scale(sign * learning_rate)


@transformation(
    "transform", example={"step_size_fn": linear_schedule(1.0, 0.5, 4)}, per_example="single"
)
def scale_by_schedule(step_size_fn: Hyperparameter) -> GradientTransformation:
    """Multiply every update by `step_size_fn(count)`; the same as `scale(step_size_fn)`.

    Args:
      step_size_fn: a function of the step count (from 0), of either sign.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_schedule(lambda count: 2.0 * count)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(3):
    ...     update, state = tx.update(jnp.float32(1.0), state)
    >>> update.item(), state.hyperparams["step_size_fn"].item()
    (4.0, 4.0)
    """
    return scale(step_size_fn)
