"""Descent with Polyak's step, whose length comes from the distance of the loss to its minimum."""

from typing import Literal

import jax.numpy as jnp

from ..._core import (
    Bound,
    EmptyState,
    GradientTransformation,
    Hyperparameter,
    Leafwise,
    Rate,
    global_norm,
    map_leaves,
    real_scalar,
    transformation,
)
from ...compose import descend

Variant = Literal["sps", "sps+"]


@transformation("direction", example={}, needs=("value",), all_reduces=1)
def scale_by_polyak(
    f_min: Hyperparameter = 0.0,
    max_learning_rate: Bound = 1.0,
    eps: Rate = 0.0,
    variant: Variant = "sps",
) -> GradientTransformation:
    r"""Scale the gradient by the Polyak step (Loizou et al., arXiv 2002.10542, SPS_max).

    .. math::
        u_t = \gamma_t g_t, \quad \gamma_t = \min\left(
            \frac{f(w) - f_{min}}{\|g_t\|^2 + eps}, \gamma_{max}\right)

    with the norm over all leaves. `update` needs the `value` `f(w)` of the loss whose gradient
    it is given. A zero gradient gives a zero update.

    Args:
      f_min: a lower bound of the loss; 0 for a model that can fit all of its data.
      max_learning_rate: upper bound of the step, ≥ 0; infinity means none.
      eps: added to the squared norm, ≥ 0.
      variant: `"sps"`, or `"sps+"` with `max(f(w) - f_min, 0)` (Garrigos et al., arXiv
        2307.14528): without it a value below `f_min` makes the step negative.

    Raises:
      ValueError: `update` was not given `value`, or it is not a real scalar.

    On a function of one parameter that is linear up to its minimum, one step leads there:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_polyak(f_min=1.0, max_learning_rate=10.0)
    >>> w = jnp.float32(2.0)  # of 3·|w| + 1
    >>> tx.update(jnp.float32(3.0), tx.init(w), value=7.0)[0].item()
    2.0
    """

    def init(params):
        return EmptyState()

    def factors(norm, value):
        gap = real_scalar("scale_by_polyak", value).astype(norm.dtype) - f_min
        gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
        still = norm < 2.0**-60
        norm = jnp.where(still, 1, norm)
        length = jnp.minimum(gap / (norm + eps / norm), max_learning_rate * norm)
        return jnp.where(still, 0, 1 / norm), length

    def update(updates, state, params=None, **extra):
        # Two factors, because the square of the norm overflows long before the norm does.
        scalars = factors(global_norm(updates), extra["value"])
        return map_leaves(lambda g, a, b: b * (a * g), updates, scalars=scalars), state

    return Leafwise(init, update)


@transformation("optimizer", example={"max_learning_rate": 0.1}, needs=("value",))
def polyak_sgd(
    max_learning_rate: Bound = 1.0,
    scaling: Rate = 1.0,
    f_min: Hyperparameter = 0.0,
    eps: Rate = 0.0,
    variant: Variant = "sps",
) -> GradientTransformation:
    """Gradient descent with Polyak's step: `w ← w - scaling · u_t`.

    The direction `u_t` is that of `scale_by_polyak`. optax scales the gradient before it takes the
    norm, so its step is divided by `scaling` wherever the bound is not active.

    Args:
      max_learning_rate: see `scale_by_polyak`.
      scaling: ≥ 0, multiplies the step and its bound.
      f_min: see `scale_by_polyak`, like the two that follow.
      eps: added to the squared norm.
      variant: what happens to a value below `f_min`.

    Raises:
      ValueError: `update` was not given `value`, or it is not a real scalar.

    On `‖w‖²` every step halves the parameters:

    >>> import jax, jax.numpy as jnp
    >>> tx = polyak_sgd()
    >>> w = jnp.array([1.0, -2.0])
    >>> value, grads = jax.value_and_grad(lambda w: jnp.sum(w**2))(w)
    >>> (w + tx.update(grads, tx.init(w), value=value)[0]).tolist()
    [0.5, -1.0]
    """
    return descend(scale_by_polyak(f_min, max_learning_rate, eps, variant), scaling)
