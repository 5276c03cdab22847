"""FTRL-Proximal: follow the regularized leader, with weights that are exactly zero."""

import math
from typing import Annotated, NamedTuple

import jax.numpy as jnp

from ..._core import (
    GradientTransformation,
    Hyperparameter,
    Range,
    Rate,
    Updates,
    abs_sq,
    add_multiple,
    per_leaf,
    safe_divide,
    safe_sqrt,
    saturated,
    slots,
    squarable,
    transformation,
)


class FtrlState(NamedTuple):
    """The sums.

    Attributes:
      trace: the paper's `z` times the learning rate, like the parameters.
      nu: sum of the squared absolute gradients, real, like the parameters.
    """

    trace: Updates
    nu: Updates


@transformation("optimizer", example={"learning_rate": 0.5}, needs=("params",))
def ftrl(
    learning_rate: Rate,
    learning_rate_power: Annotated[Hyperparameter, Range(-math.inf, 0, closed=True)] = -0.5,
    initial_accumulator_value: Rate = 0.1,
    l1: Rate = 0.0,
    l2: Rate = 0.0,
    l2_shrinkage: Rate = 0.0,
    beta: Rate = 0.0,
) -> GradientTransformation:
    r"""FTRL-Proximal (McMahan et al., 2013, Ad Click Prediction, algorithm 1, per coordinate).

    With the rate :math:`\alpha` and the power :math:`p`, in the paper :math:`-1/2`:

    .. math::
        n_t = n_{t-1} + |g_t|^2, \quad
        z_t = z_{t-1} + g_t - \frac{n_t^{-p} - n_{t-1}^{-p}}{\alpha} w_t

        w_{t+1} = - \mathrm{sign}(z_t) \,
        \frac{\max(|z_t| - l_1, 0)}{(\beta + n_t^{-p}) / \alpha + l_2}

    The parameters are a function of the sums. Where parameters do not start from 0, the first
    update moves them to the point that the sums determine, which is 0 where the gradient is 0. From
    an empty sum and without penalties this is AdaGrad, also when the rate changes, because the
    state keeps `α z`.

    The arguments are those of Keras, in the same order: its `l1_regularization_strength` is `l1`;
    its `l2_regularization_strength` and `l2_shrinkage_regularization_strength` are *half* of `l2`
    and of `l2_shrinkage`.

    Args:
      learning_rate: `α`, ≥ 0.
      learning_rate_power: `p`, ≤ 0; with 0 the rate is the same for all coordinates and steps.
      initial_accumulator_value: `n_0`, ≥ 0; 0 in the paper, 0.1 in Keras.
      l1: the larger, the more weights are exactly 0; ≥ 0.
      l2: pulls weights towards 0, ≥ 0.
      l2_shrinkage: `l2_shrinkage · w` is added to the gradient in the sum `z`, not in `n`; ≥ 0.
      beta: ≥ 0.

    Raises:
      ValueError: `update` was not given `params`.

    A weight whose gradients add up to less than `l1` is exactly 0:

    >>> import jax.numpy as jnp
    >>> tx = ftrl(0.1, initial_accumulator_value=0.0, l1=1.0)
    >>> w = jnp.zeros(2)
    >>> (w + tx.update(jnp.array([4.0, -0.9]), tx.init(w), w)[0]).round(6).tolist()
    [-0.07500000298023224, 0.0]
    """

    def power(n):
        """`n^{-p}`, with derivative 0 at 0, where `0^0` is 1."""
        if isinstance(learning_rate_power, float) and learning_rate_power == -0.5:
            # The usual power: two fewer passes over memory and less arithmetic than `**`.
            return safe_sqrt(n)
        positive, fixed = n > 0, jnp.where(learning_rate_power == 0, 1.0, 0.0)
        return jnp.where(positive, jnp.where(positive, n, 1) ** -learning_rate_power, fixed)

    def leaf(g, z, n, w):
        raw, g = g, squarable(g)
        before, n = power(n), saturated(n) + abs_sq(raw, 1.0)
        after = power(n)
        z = z + learning_rate * add_multiple(g, l2_shrinkage, w) - (after - before) * w
        shrunk = jnp.sign(z) * jnp.maximum(jnp.abs(z) - learning_rate * l1, 0)
        scale = after + (beta + learning_rate * l2)
        return safe_divide(-shrunk, scale) - w, z, n

    def init(params):
        return FtrlState(slots(params), slots(params, fill=initial_accumulator_value, real=True))

    return per_leaf(init, leaf, ("trace", "nu"), reads=lambda params: (params,))
