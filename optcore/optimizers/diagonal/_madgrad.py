"""MADGRAD: dual averaging with the cube root of a sum of squares, and momentum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import (
    Decay,
    GradientTransformation,
    Params,
    Rate,
    Updates,
    abs_sq,
    add_multiple,
    copies,
    per_leaf,
    safe_divide,
    saturated,
    slots,
    squarable,
    transformation,
    zero_count,
)


class MadgradState(NamedTuple):
    """The sums, and where they started.

    Attributes:
      count: int32, updates made so far.
      trace: weighted sum of the gradients, like the parameters.
      nu: weighted sum of the squared absolute gradients, real, like the parameters.
      anchor: the first parameters, at least float32.
    """

    count: jax.Array  # type: ignore[assignment]
    trace: Updates
    nu: Updates
    anchor: Params


@transformation("optimizer", example={"learning_rate": 0.05}, needs=("params",))
def madgrad(
    learning_rate: Rate,
    momentum: Decay = 0.9,
    weight_decay: Rate = 0.0,
    eps: Rate = 1e-6,
) -> GradientTransformation:
    r"""MADGRAD (Defazio and Jelassi, arXiv 2101.11075, algorithm 1).

    .. math::
        \lambda_t = (learning\_rate + eps) \sqrt{t}, \quad
        s_t = s_{t-1} + \lambda_t g_t, \quad
        v_t = v_{t-1} + \lambda_t |g_t|^2

        z_t = w_0 - s_t / (\sqrt[3]{v_t} + eps), \quad
        w_t = momentum \cdot w_{t-1} + (1 - momentum) \, z_t

    The learning rate is inside the sums, so there is no direction without it. The updates lead to a
    point computed from the first parameters: do not put anything that scales updates behind this.
    `eps` is added to the rate as in the authors' code (unlike the paper's box), but not to a rate
    of 0. `weight_decay · w` is added to the gradient: L2 regularisation.

    Args:
      learning_rate: ≥ 0; good values differ from those for SGD and Adam.
      momentum: in [0, 1).
      weight_decay: ≥ 0.
      eps: ≥ 0.

    Raises:
      ValueError: `update` was not given `params`.

    Without momentum the first step is `(learning_rate² · |g|)^(1/3)` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx, w = madgrad(0.125, momentum=0.0, eps=0.0), jnp.zeros(2)
    >>> tx.update(jnp.array([64.0, -8.0]), tx.init(w), params=w)[0].round(4).tolist()
    [-1.0, 0.5]
    """

    def init(params):
        sums = slots(params), slots(params, real=True)
        return MadgradState(zero_count(), *sums, copies(params, widened=True))

    def scaled_rate(t):
        rate = jnp.where(jnp.asarray(learning_rate) > 0, learning_rate + eps, 0)
        return (rate * jnp.sqrt(t.astype(jnp.float32)),)

    def leaf(g, s, v, w_0, w, scaled):
        raw = add_multiple(g, weight_decay, w)
        g = squarable(raw)
        s = s + scaled * g
        v = saturated(v) + saturated(abs_sq(raw, scaled))
        z = w_0 - safe_divide(s, _safe_cbrt(v) + eps)
        return (1 - momentum) * (z - w), s, v, w_0

    remembered = ("trace", "nu", "anchor")
    return per_leaf(init, leaf, remembered, scalars=scaled_rate, reads=lambda params: (params,))


def _safe_cbrt(x: jax.Array) -> jax.Array:
    """The cube root of `x ≥ 0`, with derivative 0 at 0."""
    inside = (x > 0) & (x < np.inf)
    x_inside = jnp.where(inside, x, 1)
    # XLA for CPUs calls `cbrt` for each number; this formula, with a Newton step, is vectorised.
    y = jnp.exp(jnp.log(x_inside) / 3)
    return jnp.where(inside, (2 * y + x_inside / (y * y)) / 3, jax.lax.stop_gradient(x))
