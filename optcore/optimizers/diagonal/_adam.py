"""Adam and AdamW: the first moment over the root of the second."""

from typing import NamedTuple

import jax

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Rate,
    Updates,
    abs_sq,
    debias,
    increment,
    over_root,
    per_leaf,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend


class ScaleByAdamState(NamedTuple):
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
def scale_by_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""The direction of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2

        u_t = \hat m_t / (\sqrt{\hat v_t + eps_{root}} + eps), \quad
        \hat m_t = m_t / (1 - b_1^t), \quad \hat v_t = v_t / (1 - b_2^t)

    With `nesterov`, `b1 · m_t / (1 - b1^{t+1}) + (1 - b1) · g_t / (1 - b1^t)` takes the place
    of the corrected first moment (Dozat, 2016, with constant decays).

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.
      nesterov: Nesterov momentum.

    The first update is the sign of the gradient, if the epsilons are small:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adam()
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(6).tolist()
    [1.0, -1.0]
    """

    def init(params):
        return ScaleByAdamState(zero_count(), slots(params, mu_dtype), slots(params, real=True))

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t), 1 / debias(b1, increment(t))

    def leaf(g, m, v, c1, c2, c1_next):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        m_ahead = (b1 * c1_next / c1) * m + (1 - b1) * g if nesterov else m
        return over_root(c1 * m_ahead, c2 * v, eps, eps_root), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01})
def adam(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam: `w ← w - learning_rate · u_t` with the direction of `scale_by_adam`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adam`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      nesterov: Nesterov momentum.

    The first step has length `learning_rate` in every coordinate, and scaling all gradients
    by a constant changes nothing:

    >>> import jax.numpy as jnp
    >>> tx = adam(0.1)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(6).tolist()
    [-0.10000000149011612, 0.10000000149011612]
    """
    direction = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return descend(direction, learning_rate)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def adamw(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with decoupled weight decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_adam`; the decay is multiplied by the learning rate
    but not adapted (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, with the schedule in
    the learning rate). The default decay is optax's; torch's is 1e-2.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adam`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.
      nesterov: Nesterov momentum.

    Raises:
      ValueError: `update` was not given `params`.

    Without a gradient a weight shrinks by the factor `1 - learning_rate · weight_decay`:

    >>> import jax.numpy as jnp
    >>> tx = adamw(0.1, weight_decay=0.5)
    >>> w = jnp.array([2.0])
    >>> (w + tx.update(jnp.zeros(1), tx.init(w), params=w)[0]).round(6).tolist()
    [1.899999976158142]
    """
    direction = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return descend(direction, learning_rate, weight_decay, mask)
