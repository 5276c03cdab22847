"""LaProp: the running average of normalised gradients."""

from typing import NamedTuple

import jax

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


class ScaleByLapropState(NamedTuple):
    """The moments.

    Attributes:
      count: int32, updates made so far.
      mu: running average of the normalised gradients, like the parameters.
      nu: second moment, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


@transformation("direction", example={})
def scale_by_laprop(
    b1: Decay = 0.9, b2: Decay = 0.999, eps: Rate = 1e-15
) -> GradientTransformation:
    r"""The direction of LaProp (Ziyin et al., arXiv 2002.04839).

    .. math::
        n_t = b_2 n_{t-1} + (1 - b_2) |g_t|^2, \quad
        m_t = b_1 m_{t-1} + (1 - b_1) \frac{g_t}{\sqrt{n_t / (1 - b_2^t)} + eps}, \quad
        u_t = \frac{m_t}{1 - b_1^t}

    This is Adam with its two steps in the other order: each gradient is first divided by the root
    of the second moment at its own step, and the results are then averaged. So `b2` may be small
    for any `b1`.

    The authors' code keeps the learning rate inside `m_t`; under a schedule its momentum still
    holds steps of the old rate. At a constant rate the two are the same.

    Args:
      b1: decay of the average, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.

    With `b2 = 0` this averages signs, where Adam would divide old gradients by the newest:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_laprop(0.5, 0.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (100.0, -0.01):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 4))
    1.0
    -0.3333
    """

    def init(params):
        return ScaleByLapropState(zero_count(), slots(params), slots(params, real=True))

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def leaf(g, m, n, c1, c2):
        raw, g = g, squarable(g)
        n = b2 * n + abs_sq(raw, 1 - b2)
        m = b1 * m + (1 - b1) * over_root(g, c2 * n, eps, 0.0)
        return c1 * m, m, n

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01})
def laprop(
    learning_rate: Rate, b1: Decay = 0.9, b2: Decay = 0.999, eps: Rate = 1e-15
) -> GradientTransformation:
    """LaProp: `w ← w - learning_rate · u_t` with the direction of `scale_by_laprop`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_laprop`, like the two that follow.
      b2: decay of the second moment.
      eps: outside the root.

    The first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = laprop(0.1)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 6) for x in u.tolist()]
    [-0.1, 0.1]
    """
    return descend(scale_by_laprop(b1, b2, eps), learning_rate)
