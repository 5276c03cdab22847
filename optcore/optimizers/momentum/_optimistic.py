"""Optimistic gradient descent: the next gradient is predicted from the last two."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    GradientTransformation,
    Rate,
    Updates,
    per_leaf,
    slots,
    transformation,
    zero_count,
)
from ...compose import descend


class ScaleByOptimisticGradientState(NamedTuple):
    """The last gradient.

    Attributes:
      count: int32, updates made so far.
      previous_gradient: the gradient of the last step, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    previous_gradient: Updates


@transformation("direction", example={})
def scale_by_optimistic_gradient(alpha: Rate = 1.0, beta: Rate = 1.0) -> GradientTransformation:
    r"""The direction of optimistic gradient descent (Mokhtari et al., arXiv 1901.08511, eq. 7).

    .. math::
        u_t = (\alpha + \beta) g_t - \beta g_{t-1}, \quad g_0 = g_1

    With `alpha = beta = 1` it is the direction of Daskalakis et al. (arXiv 1711.00141), which
    predicts that the gradient changes as it did last.

    Args:
      alpha: weight of the gradient, ≥ 0.
      beta: weight of its change, ≥ 0.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_optimistic_gradient()
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (3.0, 5.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(update.item())
    3.0
    7.0
    """

    def init(params):
        return ScaleByOptimisticGradientState(zero_count(), slots(params))

    def leaf(g, before, first):
        before = jnp.where(first, g, before)
        return alpha * g + beta * (g - before), g

    return per_leaf(init, leaf, ("previous_gradient",), scalars=lambda t: (t == 1,))


@transformation("optimizer", example={"learning_rate": 0.1})
def optimistic_gradient_descent(
    learning_rate: Rate, alpha: Rate = 1.0, beta: Rate = 1.0
) -> GradientTransformation:
    """Optimistic gradient descent: `w ← w - learning_rate · u_t`, for games and saddle points.

    The direction `u_t` is that of `scale_by_optimistic_gradient`.

    Args:
      learning_rate: ≥ 0.
      alpha: see `scale_by_optimistic_gradient`, like `beta`.
      beta: weight of the gradient's change.

    In the game `min_x max_y x·y`, plain descent spirals out and optimistic descent spirals in:

    >>> import jax.numpy as jnp, optcore
    >>> for tx in (optcore.sgd(0.3), optimistic_gradient_descent(0.3)):
    ...     w = jnp.array([1.0, 1.0])
    ...     state = tx.init(w)
    ...     for _ in range(100):
    ...         step, state = tx.update(jnp.array([w[1], -w[0]]), state)
    ...         w = w + step
    ...     print(bool(jnp.linalg.norm(w) < 1))
    False
    True
    """
    return descend(scale_by_optimistic_gradient(alpha, beta), learning_rate)
