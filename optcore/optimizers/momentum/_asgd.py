"""Averaged descent: a decaying rate, and the average of the parameters beside it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Count,
    GradientTransformation,
    Params,
    Rate,
    is_inexact,
    is_none,
    map_leaves,
    per_leaf,
    slots,
    transformation,
    zero_count,
)


class AsgdState(NamedTuple):
    """The average.

    Attributes:
      count: int32, updates made so far.
      average: of the parameters from step `t0` on, and the latest parameters before it; like the
        parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    average: Params

    def evaluated(self, params: Params) -> Params:
        """The average, once an update was made: what `eval_params` reads."""

        def leaf(p, average, some):
            return jnp.where(some, average, p)

        def held(average, p):
            return p if average is not None and is_inexact(p) else None

        # `None` where `route` gave a parameter to another optimizer.
        values = jax.tree.map(held, self.average, params, is_leaf=is_none)
        return map_leaves(leaf, values, reads=(self.average,), scalars=(self.count > 0,))


@transformation("optimizer", example={"learning_rate": 0.1}, needs=("params",))
def asgd(
    learning_rate: Rate,
    lambd: Rate = 1e-4,
    alpha: Rate = 0.75,
    t0: Count = 1_000_000,
) -> GradientTransformation:
    r"""Averaged stochastic gradient descent, as `torch.optim.ASGD`.

    .. math::
        w_t = w_{t-1} - \eta_t (g_t + \lambda w_{t-1}), \quad
        \eta_t = \frac{\eta}{(1 + \lambda \eta (t - 1))^\alpha}

        \bar w_t = \bar w_{t-1} + (w_t - \bar w_{t-1}) / \max(1, t - 1 - t_0)

    after Polyak and Juditsky (1992), with the rate and the start of Xu (arXiv 1107.2490). Evaluate
    the average, which `eval_params` reads; descent itself does not use it. It averages the
    parameters in float32, before they are rounded to their own dtype.

    Args:
      learning_rate: `η`, ≥ 0, the rate of the first step.
      lambd: `λ`, ≥ 0: L2 regularisation, and the decay of the rate.
      alpha: how fast the rate decays, ≥ 0.
      t0: the number of steps after which averaging starts.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = asgd(1.0, lambd=0.0, t0=0)
    >>> w = jnp.float32(0.0)
    >>> state = tx.init(w)
    >>> for g in (0.0, -1.0, -4.0, 2.0):
    ...     step, state = tx.update(jnp.float32(g), state, params=w)
    ...     w = w + step
    ...     print(w.item(), round(state.average.item(), 4))
    0.0 0.0
    1.0 1.0
    5.0 3.0
    3.0 3.0
    """

    def init(params):
        return AsgdState(zero_count(), slots(params))

    def rates(t):
        eta = learning_rate / (1 + lambd * learning_rate * (t - 1).astype(float)) ** alpha
        return eta, 1 / jnp.maximum(1, t - 1 - t0).astype(float)

    def leaf(g, average, p, eta, mu):
        u = -eta * (g + lambd * p)
        return u, (1 - mu) * average + mu * (p + u)

    return per_leaf(init, leaf, ("average",), scalars=rates, reads=lambda params: (params,))
