"""NAdam and NAdamW: Adam with Nesterov momentum, also with a momentum that warms up."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Leafwise,
    Mask,
    Rate,
    Updates,
    abs_sq,
    debias,
    increment,
    map_leaves,
    over_root,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend
from ._adam import scale_by_adam


class ScaleByNadamState(NamedTuple):
    """The moments, and the correction of the first.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: second moment, real, like the parameters.
      correction: a scalar, `1 - μ_1 ⋯ μ_t`.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates
    correction: jax.Array


@transformation("direction", example={})
def scale_by_nadam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    *,
    momentum_decay: Rate = 4e-3,
) -> GradientTransformation:
    r"""The direction of NAdam with a momentum that warms up (Dozat, 2016).

    .. math::
        \mu_t = b_1 (1 - 0.5 \cdot 0.96^{t \psi}), \quad
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2

        u_t = \frac{\hat m_t}{\sqrt{v_t / (1 - b_2^t) + eps_{root}} + eps}, \quad
        \hat m_t = \frac{\mu_{t+1} m_t}{1 - \prod_{i=1}^{t+1} \mu_i}
                 + \frac{(1 - \mu_t) g_t}{1 - \prod_{i=1}^{t} \mu_i}

    The momentum `μ_t` rises from `b1 / 2` to `b1`, more slowly for a smaller `momentum_decay`, `ψ`.
    It weighs `m_t` against `g_t`; `m_t` itself decays by `b1`, as in torch and Keras. With a large
    `ψ` the momentum is `b1` from the start, and this is `scale_by_adam` with `nesterov`.

    Args:
      b1: decay of the first moment and limit of the momentum, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.
      momentum_decay: `ψ`, ≥ 0.

    With `ψ = 0` the momentum stays at `b1 / 2`. The first update, here with `b1 = 0.8`, is
    `0.4 · 0.2 / (1 - 0.4²) + 0.6 / (1 - 0.4)` times the sign of the gradient:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_nadam(0.8, momentum_decay=0.0)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 4) for x in u.tolist()]
    [1.0952, -1.0952]
    """

    def init(params):
        mu, nu = slots(params, mu_dtype), slots(params, real=True)
        return ScaleByNadamState(zero_count(), mu, nu, correction=_zero(mu))

    def momentum(t):
        """`μ_t` and `1 - μ_t`, which keeps its digits where `b1` is nearly 1."""
        missing = 0.5 * jnp.exp(
            t.astype(jnp.result_type(float)) * (momentum_decay * math.log(0.96))
        )
        return b1 * (1 - missing), (1 - b1) + b1 * missing

    def leaf(g, m, v, c_m, c_g, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        return over_root(c_m * m + c_g * g, c2 * v, eps, eps_root), m, v

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        mu, rest = momentum(t)
        mu_next, rest_next = momentum(increment(t))
        # 1 - μ_1 ⋯ μ_t as a sum of positive terms: the weights of an average that decays by μ_t.
        correction = rest + mu * state.correction.astype(mu.dtype)
        correction_next = rest_next + mu_next * correction
        scalars = mu_next / correction_next, rest / correction, 1 / debias(b2, t)
        updates, m, v = map_leaves(leaf, updates, (state.mu, state.nu), scalars=scalars)
        correction = correction.astype(state.correction.dtype)
        return updates, ScaleByNadamState(t, m, v, correction)

    return Leafwise(init, update)


def _zero(mu: Updates) -> jax.Array:
    """As wide as the widest moment: with 64 bits enabled the default is float64."""
    kinds = [jnp.finfo(m.dtype).dtype for m in jax.tree.leaves(mu)]
    return jnp.zeros((), max([np.dtype(np.float32), *kinds], key=lambda kind: kind.itemsize))


def _direction(
    b1: Decay,
    b2: Decay,
    eps: Rate,
    eps_root: Rate,
    mu_dtype: DType | None,
    momentum_decay: Rate | None,
) -> GradientTransformation:
    if momentum_decay is None:
        return scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=True)
    return scale_by_nadam(b1, b2, eps, eps_root, mu_dtype, momentum_decay=momentum_decay)


@transformation("optimizer", example={"learning_rate": 0.01})
def nadam(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    *,
    momentum_decay: Rate | None = None,
) -> GradientTransformation:
    """NAdam: `w ← w - learning_rate · u_t`, by default `adam` with `nesterov`, as in optax.

    With `momentum_decay=4e-3` the direction is that of `scale_by_nadam`: the algorithm of Dozat,
    torch and Keras, whose momentum warms up.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_nadam`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      momentum_decay: how fast the momentum warms up, or `None` for a constant momentum.

    The gradient of the current step counts twice, so the first step is longer than the rate:

    >>> import jax.numpy as jnp
    >>> tx = nadam(0.1, b1=0.5)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 4) for x in u.tolist()]
    [-0.1333, 0.1333]
    """
    return descend(_direction(b1, b2, eps, eps_root, mu_dtype, momentum_decay), learning_rate)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def nadamw(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 1e-4,
    mask: Mask | None = None,
    *,
    momentum_decay: Rate | None = None,
) -> GradientTransformation:
    """NAdam with decoupled weight decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_nadam`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.
      momentum_decay: see `nadam`.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = nadamw(0.1, weight_decay=0.5)
    >>> w = jnp.array([2.0])
    >>> step, _ = tx.update(jnp.zeros(1), tx.init(w), params=w)
    >>> round((w + step).item(), 6)
    1.9
    """
    direction = _direction(b1, b2, eps, eps_root, mu_dtype, momentum_decay)
    return descend(direction, learning_rate, weight_decay, mask)
