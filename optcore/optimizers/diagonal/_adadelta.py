"""Adadelta: the gradient in the units of the parameters."""

from typing import NamedTuple

from ..._core import (
    GradientTransformation,
    Mask,
    Rate,
    Retention,
    Updates,
    abs_sq,
    per_leaf,
    safe_divide,
    safe_sqrt,
    slots,
    squarable,
    transformation,
)
from ...compose import chain
from ...transforms import add_decayed_weights, scale_by_learning_rate


class ScaleByAdaDeltaState(NamedTuple):
    """Two running means of squares.

    Attributes:
      nu: of the absolute gradients, real, like the parameters.
      e_x: of the absolute updates, real, like the parameters.
    """

    nu: Updates
    e_x: Updates


@transformation("direction", example={})
def scale_by_adadelta(rho: Retention = 0.9, eps: Rate = 1e-6) -> GradientTransformation:
    r"""The direction of Adadelta (Zeiler, arXiv 1212.5701, algorithm 1).

    .. math::
        v_t = \rho v_{t-1} + (1 - \rho) |g_t|^2, \quad
        u_t = \frac{\sqrt{x_{t-1} + eps}}{\sqrt{v_t + eps}} \, g_t, \quad
        x_t = \rho x_{t-1} + (1 - \rho) |u_t|^2

    The root of earlier updates gives `u_t` the unit of the parameters, so the paper needs no
    learning rate. But `eps`, in both roots, sets how fast the updates grow from zero.

    Args:
      rho: decay of both means, in [0, 1]; with 1 both stay 0, and the update is the gradient.
      eps: inside both roots, ≥ 0; with 0 nothing ever moves.

    The first update is `√(eps / (1 - rho))` times the sign of the gradient, if `eps` is small:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adadelta(0.75, 1e-4)
    >>> u, _ = tx.update(jnp.array([300.0, -200.0]), tx.init(jnp.zeros(2)))
    >>> [round(x, 4) for x in u.tolist()]
    [0.02, -0.02]
    """

    def init(params):
        return ScaleByAdaDeltaState(slots(params, real=True), slots(params, real=True))

    def leaf(g, v, x):
        raw, g = g, squarable(g)
        v = rho * v + abs_sq(raw, 1 - rho)
        # The root of one quotient: XLA stores each root that two kernels need.
        u = safe_sqrt(safe_divide(x + eps, v + eps)) * g
        x = rho * x + abs_sq(u, 1 - rho)
        return u, v, x

    return per_leaf(init, leaf, ("nu", "e_x"))


@transformation("optimizer", example={}, needs=("params",))
def adadelta(
    learning_rate: Rate = 1.0,
    rho: Retention = 0.9,
    eps: Rate = 1e-6,
    weight_decay: Rate = 0.0,
    weight_decay_mask: Mask | None = None,
) -> GradientTransformation:
    """Adadelta: `w ← w - learning_rate · u_t` with the direction of `scale_by_adadelta`.

    The paper has no learning rate, which corresponds to a rate of 1. The decay is an L2 penalty: it
    is added to the gradient and adapted with it, as in torch and optax.

    Args:
      learning_rate: ≥ 0.
      rho: see `scale_by_adadelta`, like `eps`.
      eps: inside both roots.
      weight_decay: ≥ 0.
      weight_decay_mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    Every first step has the same length, whatever the gradient:

    >>> import jax.numpy as jnp
    >>> tx = adadelta(rho=0.75, eps=1e-4)
    >>> w = jnp.zeros(2)
    >>> u, _ = tx.update(jnp.array([300.0, -200.0]), tx.init(w), params=w)
    >>> [round(x, 4) for x in u.tolist()]
    [-0.02, 0.02]
    """
    return chain(
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_adadelta(rho, eps),
        scale_by_learning_rate(learning_rate),
    )
