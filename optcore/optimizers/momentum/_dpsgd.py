"""Differentially private stochastic gradient descent."""

import jax

from ..._core import GradientTransformation, Key, Rate, Retention, transformation
from ...compose import chain
from ...transforms import (
    differentially_private_aggregate,
    identity,
    scale_by_learning_rate,
    trace,
)


def _example() -> GradientTransformation:
    return dpsgd(0.1, 1.0, 0.1, jax.random.key(0), momentum=0.5)


@transformation("optimizer", example=_example, per_example="aggregates")
def dpsgd(
    learning_rate: Rate,
    l2_norm_clip: Rate,
    noise_multiplier: Rate,
    key: Key,
    momentum: Retention | None = None,
    nesterov: bool = False,
) -> GradientTransformation:
    """Descent along `differentially_private_aggregate`, with or without momentum.

    Args:
      learning_rate: ≥ 0.
      l2_norm_clip: see `differentially_private_aggregate`, like the two that follow.
      noise_multiplier: of the noise, relative to `l2_norm_clip`.
      key: a typed random key.
      momentum: in [0, 1], or `None` for none; see `trace`.
      nesterov: Nesterov momentum.

    Raises:
      ValueError: the updates have no axis of examples.

    One example, however large its gradient, moves the mean of two by at most half of
    `learning_rate · l2_norm_clip`:

    >>> import jax, jax.numpy as jnp
    >>> tx = dpsgd(0.1, 1.0, 0.0, jax.random.key(0))
    >>> w, per_example = jnp.zeros(1), jnp.array([[1e6], [0.0]])
    >>> round(tx.update(per_example, tx.init(w), w)[0].item(), 6)
    -0.05
    """
    return chain(
        differentially_private_aggregate(l2_norm_clip, noise_multiplier, key),
        identity() if momentum is None else trace(momentum, nesterov),
        scale_by_learning_rate(learning_rate),
    )
