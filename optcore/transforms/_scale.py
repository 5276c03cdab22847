"""Multiplication by a number: constant, scheduled, or a learning rate with its sign."""

from .._core import (
    GradientTransformation,
    Hyperparameter,
    Rate,
    per_leaf,
    transformation,
)


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
