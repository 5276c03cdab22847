"""AdaGrad: the gradient over the root of the sum of squares."""

from typing import NamedTuple

import jax

from ..._core import (
    GradientTransformation,
    Rate,
    Updates,
    abs_sq,
    over_root,
    per_leaf,
    saturated,
    slots,
    squarable,
    transformation,
)
from ...compose import descend


class ScaleByRssState(NamedTuple):
    """The sum of squares.

    Attributes:
      nu: sum of the squared absolute gradients, real, like the parameters.
    """

    nu: Updates


@transformation("direction", example={})
def scale_by_rss(
    initial_accumulator_value: Rate = 0.1, eps: Rate = 1e-7, *, eps_in_sqrt: bool = True
) -> GradientTransformation:
    r"""Divide by the root of the sum of squares (Duchi et al., 2011, figure 1, diagonal).

    .. math::
        s_t = s_{t-1} + |g_t|^2, \quad u_t = g_t / \sqrt{s_t + eps}

    or `g_t / (√s_t + eps)` if not `eps_in_sqrt`. Where all gradients so far are 0, the update is 0.
    The defaults are optax's; torch starts from 0 with `eps=1e-10` outside the root.

    Args:
      initial_accumulator_value: of the sum, ≥ 0.
      eps: ≥ 0.
      eps_in_sqrt: inside the root, as in optax, or outside, as in the paper and torch.

    On equal gradients the update decays as `1 / √t`, because the sum never forgets:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_rss(0.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(4):
    ...     update, state = tx.update(jnp.float32(3.0), state)
    >>> round(update.item(), 6)
    0.5
    """

    def init(params):
        return ScaleByRssState(slots(params, fill=initial_accumulator_value, real=True))

    def leaf(g, s):
        raw, g = g, squarable(g)
        s = saturated(s) + abs_sq(raw, 1.0)
        return divided(g, s, eps, eps_in_sqrt), s

    return per_leaf(init, leaf, ("nu",))


def divided(g: jax.Array, nu: jax.Array, eps: Rate, eps_in_sqrt: bool) -> jax.Array:
    """`g / √(nu + eps)`, or `g / (√nu + eps)` if not `eps_in_sqrt`."""
    return over_root(g, nu, 0.0, eps) if eps_in_sqrt else over_root(g, nu, eps, 0.0)


@transformation("optimizer", example={"learning_rate": 0.5})
def adagrad(
    learning_rate: Rate,
    initial_accumulator_value: Rate = 0.1,
    eps: Rate = 1e-7,
    *,
    eps_in_sqrt: bool = True,
) -> GradientTransformation:
    """AdaGrad: `w ← w - learning_rate · u_t` with the direction of `scale_by_rss`.

    Args:
      learning_rate: ≥ 0.
      initial_accumulator_value: see `scale_by_rss`, like the two that follow.
      eps: inside or outside the root.
      eps_in_sqrt: which of the two.

    From an empty sum the first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = adagrad(0.1, initial_accumulator_value=0.0)
    >>> tx.update(jnp.array([30.0, -2.0]), tx.init(jnp.zeros(2)))[0].round(6).tolist()
    [-0.10000000149011612, 0.10000000149011612]
    """
    direction = scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=eps_in_sqrt)
    return descend(direction, learning_rate)
