"""Lion: the sign of an interpolation between the gradient and its average."""

from typing import Literal, NamedTuple

import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Rate,
    Updates,
    abs_sq,
    per_leaf,
    safe_divide,
    safe_sqrt,
    slots,
    transformation,
)
from ...compose import descend


class ScaleByLionState(NamedTuple):
    """The running average.

    Attributes:
      mu: average of the gradients, like the parameters.
    """

    mu: Updates


@transformation("direction", example={})
def scale_by_lion(
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    mu_dtype: DType | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: Rate = 1.0,
) -> GradientTransformation:
    r"""The direction of Lion (Chen et al., arXiv 2302.06675, algorithm 2).

    .. math::
        c_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad u_t = \mathrm{sign}(c_t), \quad
        m_t = b_2 m_{t-1} + (1 - b_2) g_t

    The stored average reaches further into the past than the one whose sign is taken. A complex
    number has the sign `z / |z|`.

    Args:
      b1: weight of the past in the direction, in [0, 1).
      b2: decay of the average, in [0, 1).
      mu_dtype: of the average; by default the parameter's, at least float32.
      mode: `"hard"` is the sign itself, `"smooth"` is `tanh(smooth_beta · c)`, `"refined"` is `c`
        bounded to length 1.
      smooth_beta: how steep `"smooth"` is, ≥ 0.

    With equal decays this is the direction of `signum`. With unequal decays the newest gradient can
    decide the sign, here against an average of the same length:

    >>> import jax.numpy as jnp
    >>> for b1 in (0.25, 0.75):
    ...     tx = scale_by_lion(b1, 0.5)
    ...     state = tx.init(jnp.float32(0.0))
    ...     _, state = tx.update(jnp.float32(2.0), state)
    ...     print(tx.update(jnp.float32(-1.0), state)[0].item())
    -1.0
    1.0
    """

    def init(params):
        return ScaleByLionState(slots(params, mu_dtype))

    def sign(c):
        if mode == "hard":
            return jnp.sign(c)
        size = safe_sqrt(abs_sq(c)) if jnp.iscomplexobj(c) else jnp.abs(c)
        length = jnp.tanh(smooth_beta * size) if mode == "smooth" else jnp.minimum(size, 1)
        slope = smooth_beta if mode == "smooth" else 1.0
        return c * jnp.where(size > 0, safe_divide(length, size), slope)

    # With b1 > b2 the two terms would be of opposite sign and cancel.
    from_new = isinstance(b1, float) and isinstance(b2, float) and 0 < b1 <= b2

    def leaf(g, m):
        c = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g
        if from_new:
            # The same number without the old average, which XLA would have to copy first.
            c = b1 / b2 * m + (1 - b1 / b2) * g
        return sign(c), m

    return per_leaf(init, leaf, ("mu",))


@transformation("optimizer", example={"learning_rate": 0.05}, needs=("params",))
def lion(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 1e-3,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Lion with decoupled decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_lion`. Its elements are larger than Adam's: the
    authors advise a rate 3 to 10 times smaller, and a decay as many times larger.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_lion`, like the two that follow.
      b2: decay of the average.
      mu_dtype: of the average.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    Without decay every step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = lion(0.5, weight_decay=0.0)
    >>> w = jnp.zeros(2)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(w), params=w)[0].tolist()
    [-0.5, 0.5]
    """
    return descend(scale_by_lion(b1, b2, mu_dtype), learning_rate, weight_decay, mask)
