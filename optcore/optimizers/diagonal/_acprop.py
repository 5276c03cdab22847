"""ACProp: the gradient over the root of how far earlier gradients strayed from their mean."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    GradientTransformation,
    Mask,
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


class ScaleByAcpropState(NamedTuple):
    """The first moment and the second about it.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: second moment of the gradients' distance from `mu`, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


@transformation("direction", example={})
def scale_by_acprop(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-16,
    eps_root: Rate = 1e-16,
    *,
    previous_mean: bool = False,
) -> GradientTransformation:
    r"""The direction of ACProp (Zhuang et al., arXiv 2110.05454, algorithm 2).

    .. math::
        u_t = g_t / (\sqrt{\hat s_{t-1}} + eps), \quad
        \hat s_{t-1} = s_{t-1} / (1 - b_2^{t-1})

        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        s_t = b_2 s_{t-1} + (1 - b_2) |g_t - m_t|^2 + eps_{root}

    This is AdaBelief without momentum and with a lag: each gradient is divided by the statistics
    from before it. There are none at the first step, so `u_1 = g_1`. The epsilons and the bias
    correction follow the authors' code.

    optax measures the distance from `m_{t-1}`; `previous_mean=True` does the same. As
    `g_t - m_t = b1 (g_t - m_{t-1})`, its steps after the first are shorter by the factor `b1`.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added to the second moment at every step, ≥ 0.
      previous_mean: take `m_{t-1}` for `m_t`, and at first `1 + eps` for the root, as optax does.

    A large gradient is not damped by itself; it damps the next one:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_acprop(0.5, 0.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (2.0, 8.0, 8.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 3))
    2.0
    8.0
    2.286
    """

    def init(params):
        return ScaleByAcpropState(zero_count(), slots(params), slots(params, real=True))

    def lagged(t):
        # The correction of the previous step; the first step has nothing to correct.
        return 1 / debias(b2, jnp.maximum(t - 1, 1)), t == 1

    def leaf(g, m, s, c2, first):
        raw, g = g, squarable(g)
        begin = g / (1 + eps) if previous_mean else g
        u = jnp.where(first, begin, over_root(g, c2 * s, eps, 0.0))
        surprise = (raw - m) if previous_mean else b1 * (raw - m)
        m = b1 * m + (1 - b1) * g
        # As in `scale_by_belief`, a last sum of two arrays.
        s = (b2 * s + eps_root) + abs_sq(surprise, 1 - b2)
        return u, m, s

    return per_leaf(init, leaf, ("mu", "nu"), scalars=lagged)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def acprop(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-16,
    eps_root: Rate = 1e-16,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
    *,
    previous_mean: bool = False,
) -> GradientTransformation:
    """ACProp: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_acprop`; the decay is decoupled.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_acprop`, like the three that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: added to the second moment at every step.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.
      previous_mean: optax's second moment.

    Raises:
      ValueError: `update` was not given `params`.

    The first step is that of gradient descent:

    >>> import jax.numpy as jnp
    >>> tx = acprop(0.5)
    >>> w = jnp.zeros(2)
    >>> tx.update(jnp.array([30.0, -0.5]), tx.init(w), params=w)[0].tolist()
    [-15.0, 0.25]
    """
    direction = scale_by_acprop(b1, b2, eps, eps_root, previous_mean=previous_mean)
    return descend(direction, learning_rate, weight_decay, mask)
