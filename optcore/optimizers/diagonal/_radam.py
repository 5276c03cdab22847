"""RAdam: Adam that divides only once the second moment is reliable."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    GradientTransformation,
    Rate,
    Updates,
    abs_sq,
    debias,
    increment,
    over_root,
    per_leaf,
    safe_sqrt,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend


class ScaleByRadamState(NamedTuple):
    """The moments.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: second moment, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


def _lengths(b2: Decay, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`ρ_t = ρ_∞ - 2 t b2^t / (1 - b2^t)` and its limit `ρ_∞ = 2 / (1 - b2) - 1`.

    The difference loses all digits of `ρ_t` where `ρ_∞` is large. It is `1` for `t = 1`, and with
    `b2 = exp(-x)` it is `1 + (2 / x) (h(t x) - h(x))` with `h(y) = 1 - y / (exp(y) - 1)`.

    Below `b2 = 0.6` the limit is less than 4, and its exact value does not matter. There `b2`
    counts as at least 0.5, so that `b2 = 0` needs no special case.
    """
    forgotten = jnp.minimum(debias(b2, jnp.ones((), jnp.int32)), 0.5)
    x = -jnp.log1p(-forgotten)
    rho = 1 + 2 / x * (_h(t.astype(x.dtype) * x) - _h(x))
    return rho, 2 / forgotten - 1


def _h(y: jax.Array) -> jax.Array:
    """`1 - y / (exp(y) - 1)` for `y > 0`, by its series where the difference would cancel."""
    small = y < 1
    near, far = jnp.where(small, y, 0), jnp.where(small, 1, y)
    s = near * near
    # The Bernoulli numbers over the factorials; the next term is less than 1e-9.
    tail = -1 / 12 + s * (1 / 720 + s * (-1 / 30240 + s * (1 / 1209600 - s / 47900160)))
    return jnp.where(small, near / 2 + s * tail, 1 + far * jnp.exp(-far) / jnp.expm1(-far))


@transformation("direction", example={})
def scale_by_radam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    threshold: Rate = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""The direction of RAdam (Liu et al., arXiv 1908.03265, algorithm 2).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \quad
        \hat m_t = \frac{m_t}{1 - b_1^t}, \quad \hat v_t = \frac{v_t}{1 - b_2^t}

        u_t = \begin{cases}
            r_t \hat m_t / (\sqrt{\hat v_t + eps_{root}} + eps)
                & \text{where } \rho_t \ge threshold \\
            \hat m_t & \text{otherwise}
        \end{cases}

        r_t^2 = \frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
                     {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}, \quad
        \rho_t = \rho_\infty - \frac{2 t b_2^t}{1 - b_2^t}, \quad
        \rho_\infty = \frac{2}{1 - b_2} - 1

    The moment `v_t` is an average over about `ρ_t` squares. Over few squares the variance of
    `1 / √v_t` is large, and up to four it is infinite. Until then the update is the plain first
    moment; from then on it approaches Adam's as the variance falls and `r_t` tends to 1. With
    `b2 ≤ 0.6`, `ρ_t` never exceeds 4. The paper's threshold is 4; its code, torch and optax use 5.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      threshold: of `ρ_t`, ≥ 0. Values below 4 act like 4, because `r_t²` is negative there.
      nesterov: Nesterov momentum, see `scale_by_adam`.

    The variance falls slowly. For gradients that are all 1, the update is 1 for the first five
    steps, which are not adapted, and then the rectification `r_t`:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_radam()
    >>> state = tx.init(jnp.float32(0.0))
    >>> for t in range(1, 1001):
    ...     r, state = tx.update(jnp.float32(1.0), state)
    ...     if t in (1, 5, 6, 7, 10, 100, 1000):
    ...         print(t, round(r.item(), 3))
    1 1.0
    5 1.0
    6 0.026
    7 0.033
    10 0.049
    100 0.215
    1000 0.645
    """

    def init(params):
        return ScaleByRadamState(zero_count(), slots(params), slots(params, real=True))

    def corrections(t):
        c1, c2, c1_next = 1 / debias(b1, t), 1 / debias(b2, t), 1 / debias(b1, increment(t))
        rho, rho_inf = _lengths(b2, t)
        rectified = rho >= jnp.maximum(threshold, 4.0)
        r = safe_sqrt(
            jnp.where(rectified, (rho - 4) * (rho - 2) / rho, 0)
            * jnp.where(rectified, rho_inf / ((rho_inf - 4) * (rho_inf - 2)), 0)
        )
        return c1, c2, c1_next, r, rectified

    def leaf(g, m, v, c1, c2, c1_next, r, rectified):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        m_ahead = (b1 * c1_next / c1) * m + (1 - b1) * g if nesterov else m
        adapted = r * over_root(m_ahead, c2 * v, eps, eps_root)
        return c1 * jnp.where(rectified, adapted, m_ahead), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01})
def radam(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    threshold: Rate = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """RAdam: `w ← w - learning_rate · u_t` with the direction of `scale_by_radam`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_radam`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      threshold: of the length of the average.
      nesterov: Nesterov momentum.

    The first step is that of gradient descent:

    >>> import jax.numpy as jnp
    >>> tx = radam(0.5)
    >>> u, _ = tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 4) for x in u.tolist()]
    [-15.0, 0.1]
    """
    direction = scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov)
    return descend(direction, learning_rate)
