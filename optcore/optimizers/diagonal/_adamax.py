"""Adamax and AdamaxW: the first moment over a decaying maximum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    GradientTransformation,
    Mask,
    Rate,
    Updates,
    debias,
    per_leaf,
    safe_divide,
    slots,
    transformation,
    zero_count,
)
from ...compose import descend


class ScaleByAdamaxState(NamedTuple):
    """The moments of order one and infinity.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: decaying maximum of the absolute gradients, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


@transformation("direction", example={})
def scale_by_adamax(b1: Decay = 0.9, b2: Decay = 0.999, eps: Rate = 1e-8) -> GradientTransformation:
    r"""The direction of Adamax (Kingma and Ba, arXiv 1412.6980, algorithm 2).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        n_t = \max(b_2 n_{t-1}, |g_t| + eps), \quad
        u_t = \frac{m_t}{(1 - b_1^t) \, n_t}

    The maximum is Adam's second moment for the norm of order infinity and needs no correction.
    The paper has no `eps`; torch and optax add it to the absolute gradient, as here. Where all
    gradients so far are 0, the update is 0.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the maximum, in [0, 1).
      eps: added to the absolute gradient, ≥ 0.

    No coordinate of the first update exceeds 1, and a large gradient is remembered: after it, the
    same small gradient counts for less.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adamax(0.0, 0.5)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (1.0, 8.0, 1.0, 1.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 6))
    1.0
    1.0
    0.25
    0.5
    """

    def init(params):
        return ScaleByAdamaxState(zero_count(), slots(params), slots(params, real=True))

    def correction(t):
        return (1 / debias(b1, t),)

    def leaf(g, m, n, c1):
        m = b1 * m + (1 - b1) * g
        n = jnp.maximum(b2 * n, jnp.abs(g) + eps)
        return c1 * safe_divide(m, n), m, n

    return per_leaf(init, leaf, ("mu", "nu"), scalars=correction)


@transformation("optimizer", example={"learning_rate": 0.01})
def adamax(
    learning_rate: Rate, b1: Decay = 0.9, b2: Decay = 0.999, eps: Rate = 1e-8
) -> GradientTransformation:
    """Adamax: `w ← w - learning_rate · u_t` with the direction of `scale_by_adamax`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adamax`, like the two that follow.
      b2: decay of the maximum.
      eps: added to the absolute gradient.

    The first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = adamax(0.1)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 6) for x in u.tolist()]
    [-0.1, 0.1]
    """
    return descend(scale_by_adamax(b1, b2, eps), learning_rate)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def adamaxw(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Rate = 1e-4,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Adamax with decoupled weight decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adamax`, like the two that follow.
      b2: decay of the maximum.
      eps: added to the absolute gradient.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = adamaxw(0.1, weight_decay=0.5)
    >>> w = jnp.array([2.0])
    >>> step, _ = tx.update(jnp.zeros(1), tx.init(w), params=w)
    >>> round((w + step).item(), 6)
    1.9
    """
    return descend(scale_by_adamax(b1, b2, eps), learning_rate, weight_decay, mask)
