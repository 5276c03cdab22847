"""Yogi: Adam whose second moment grows and shrinks by the same amount."""

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
    over_root,
    per_leaf,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend


class ScaleByYogiState(NamedTuple):
    """The moments.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: second moment, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


@transformation("direction", example={})
def scale_by_yogi(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-3,
    eps_root: Rate = 0.0,
    initial_accumulator_value: Rate = 1e-6,
) -> GradientTransformation:
    r"""The direction of Yogi (Zaheer et al., NeurIPS 2018, algorithm 2).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = v_{t-1} - (1 - b_2) \, \mathrm{sign}(v_{t-1} - |g_t|^2) \, |g_t|^2

        u_t = \hat m_t / (\sqrt{\hat v_t + eps_{root}} + eps), \quad
        \hat m_t = m_t / (1 - b_1^t), \quad \hat v_t = v_t / (1 - b_2^t)

    Adam's second moment changes by `(1 - b2) (|g_t|² - v_{t-1})`: where `v` is large it may fall
    fast, and steps suddenly grow. Yogi's falls slowly where gradients are small.

    The bias correction, and the start of both moments from one small number, are TensorFlow's and
    optax's; the algorithm as printed has neither. From that start even a parameter without
    gradients moves a little.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      initial_accumulator_value: of both moments, ≥ 0.

    Gradients of 1 lower a second moment of 64 by `1 - b2` at each step; Adam's would be halved:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_yogi(b2=0.5, initial_accumulator_value=64.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(2):
    ...     _, state = tx.update(jnp.float32(1.0), state)
    ...     print(state.nu.item())
    63.5
    63.0
    """

    def init(params):
        mu = slots(params, fill=initial_accumulator_value)
        nu = slots(params, fill=initial_accumulator_value, real=True)
        return ScaleByYogiState(zero_count(), mu, nu)

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def leaf(g, m, v, c1, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = v - jnp.sign(v - abs_sq(raw, 1.0)) * abs_sq(raw, 1 - b2)
        return c1 * over_root(m, c2 * v, eps, eps_root), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01})
def yogi(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-3,
    *,
    eps_root: Rate = 0.0,
    initial_accumulator_value: Rate = 1e-6,
) -> GradientTransformation:
    """Yogi: `w ← w - learning_rate · u_t` with the direction of `scale_by_yogi`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_yogi`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      initial_accumulator_value: of both moments.

    From empty moments the first step is Adam's, of length `learning_rate`:

    >>> import jax.numpy as jnp
    >>> tx = yogi(0.1, eps=1e-8, initial_accumulator_value=0.0)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 6) for x in u.tolist()]
    [-0.1, 0.1]
    """
    return descend(scale_by_yogi(b1, b2, eps, eps_root, initial_accumulator_value), learning_rate)
