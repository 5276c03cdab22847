"""AdaBelief: the first moment over the root of how far gradients stray from it."""

from typing import NamedTuple

import jax

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
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend


class ScaleByBeliefState(NamedTuple):
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
def scale_by_belief(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-16,
    eps_root: Rate = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    r"""The direction of AdaBelief (Zhuang et al., arXiv 2010.07468, algorithm 2).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        s_t = b_2 s_{t-1} + (1 - b_2) |g_t - m_t|^2 + eps_{root}

        u_t = \hat m_t / (\sqrt{\hat s_t} + eps), \quad
        \hat m_t = m_t / (1 - b_1^t), \quad \hat s_t = s_t / (1 - b_2^t)

    Unlike Adam's, `eps_root` adds up: it raises `s_t` by up to `eps_root / (1 - b2)`.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added to the second moment at every step, ≥ 0.
      nesterov: Nesterov momentum, see `scale_by_adam`.

    Where gradients agree, its steps are longer than Adam's; here with `b1 = 0.5` the first update
    is twice the sign of the gradient, since half of it is expected:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_belief(0.5)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 4) for x in u.tolist()]
    [2.0, -2.0]
    """

    def init(params):
        return ScaleByBeliefState(zero_count(), slots(params), slots(params, real=True))

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t), 1 / debias(b1, increment(t))

    def leaf(g, m, s, c1, c2, c1_next):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        # A last sum of two arrays: XLA computes the sum of one and a number again in the step.
        s = (b2 * s + eps_root) + abs_sq(raw - m, 1 - b2)
        m_ahead = (b1 * c1_next / c1) * m + (1 - b1) * g if nesterov else m
        return c1 * over_root(m_ahead, c2 * s, eps, 0.0), m, s

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01})
def adabelief(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-16,
    eps_root: Rate = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """AdaBelief: `w ← w - learning_rate · u_t` with the direction of `scale_by_belief`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_belief`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: added to the second moment at every step.
      nesterov: Nesterov momentum.

    The first step has length `learning_rate / b1` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = adabelief(0.1, b1=0.5)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 4) for x in u.tolist()]
    [-0.2, 0.2]
    """
    return descend(scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov), learning_rate)
