"""LARS: momentum with one rate per leaf, in proportion to the norm of the weights."""

import jax.numpy as jnp

from ..._core import (
    GradientTransformation,
    Mask,
    Rate,
    Retention,
    fitting,
    global_norm,
    per_leaf,
    select,
    transformation,
)
from ...compose import chain
from ...transforms import scale_by_learning_rate, trace


@transformation("direction", example={"weight_decay": 0.01}, needs=("params",), all_reduces=1)
def scale_by_lars(
    weight_decay: Rate = 0.0,
    weight_decay_mask: Mask = True,
    trust_coefficient: Rate = 0.001,
    eps: Rate = 0.0,
    trust_ratio_mask: Mask = True,
    *,
    norm_of_sum: bool = False,
) -> GradientTransformation:
    r"""The layer-wise rate of LARS (You et al., arXiv 1708.03888, equation 6 and algorithm 1).

    .. math::
        u_t = \lambda (g_t + \beta w), \quad
        \lambda = \eta \frac{\|w\|}{\|g_t\| + \beta \|w\| + eps}

    for each leaf. Where `‖w‖` or the denominator is 0, `λ` is 1. optax divides by the norm of
    the sum, `‖g + βw‖`, which differs wherever there is decay.

    Args:
      weight_decay: `β`, ≥ 0.
      weight_decay_mask: which parameters decay, see `add_decayed_weights`.
      trust_coefficient: `η`, ≥ 0.
      eps: added to the denominator, ≥ 0.
      trust_ratio_mask: which parameters have a rate of their own; the rate of the others is 1.
      norm_of_sum: divide by `‖g + βw‖ + eps`, as optax does.

    Raises:
      ValueError: `update` was not given `params`, or a mask does not fit them.

    The update is `η` times as long as the weights, whatever the gradient:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_lars(trust_coefficient=0.5)
    >>> w, g = jnp.array([0.0, 10.0]), jnp.array([300.0, 400.0])
    >>> tx.update(g, tx.init(w), params=w)[0].round(4).tolist()
    [3.0, 4.0]
    """

    def leaf(g, decaying, scaled):
        w, beta = (0.0, 0.0) if decaying is None else (decaying, weight_decay)
        u = g + beta * w
        if scaled is None:
            return u
        w_norm = global_norm(scaled)
        length = (global_norm(u) if norm_of_sum else global_norm(g) + beta * w_norm) + eps
        # The reciprocal of a smaller number is infinite.
        fixed = (w_norm == 0) | (length < jnp.finfo(length.dtype).tiny)
        # One after the other, because the ratio itself may be infinite.
        unit = jnp.where(fixed, 1, 1 / jnp.where(fixed, 1, length)) * u
        return jnp.where(fixed, 1, trust_coefficient * w_norm) * unit

    masks = (
        ("scale_by_lars: weight_decay_mask", weight_decay_mask),
        ("scale_by_lars: trust_ratio_mask", trust_ratio_mask),
    )

    def reads(params):
        return tuple(select(name, mask, params, params) for name, mask in masks)

    return per_leaf(fitting(None, *masks), leaf, reads=reads)


@transformation(
    "optimizer", example={"learning_rate": 0.1, "trust_coefficient": 0.1}, needs=("params",)
)
def lars(
    learning_rate: Rate,
    weight_decay: Rate = 0.0,
    weight_decay_mask: Mask = True,
    trust_coefficient: Rate = 0.001,
    eps: Rate = 0.0,
    trust_ratio_mask: Mask = True,
    momentum: Retention = 0.9,
    nesterov: bool = False,
    *,
    norm_of_sum: bool = False,
) -> GradientTransformation:
    """LARS: `v_t = momentum · v_{t-1} + learning_rate · u_t`, `w ← w - v_t`.

    The direction `u_t` is that of `scale_by_lars`. The decay is part of it, and the rate is inside
    the momentum.

    Args:
      learning_rate: ≥ 0.
      weight_decay: see `scale_by_lars`, like the four that follow.
      weight_decay_mask: which parameters decay; usually no biases and no norms.
      trust_coefficient: the length of a step relative to the weights.
      eps: added to the denominator.
      trust_ratio_mask: which parameters have a rate of their own.
      momentum: in [0, 1], see `trace`.
      nesterov: Nesterov momentum.
      norm_of_sum: see `scale_by_lars`.

    Raises:
      ValueError: `update` was not given `params`, or a mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = lars(1.0, trust_coefficient=0.5)
    >>> w, g = jnp.array([0.0, 10.0]), jnp.array([300.0, 400.0])
    >>> tx.update(g, tx.init(w), params=w)[0].round(4).tolist()
    [-3.0, -4.0]
    """
    return chain(
        scale_by_lars(
            weight_decay,
            weight_decay_mask,
            trust_coefficient,
            eps,
            trust_ratio_mask,
            norm_of_sum=norm_of_sum,
        ),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )
