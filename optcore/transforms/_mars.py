"""Variance reduction by the difference of successive gradients."""

from typing import NamedTuple

from .._core import (
    Bound,
    Decay,
    GradientTransformation,
    Rate,
    Updates,
    global_norm,
    per_leaf,
    shrink,
    slots,
    transformation,
)


class MarsState(NamedTuple):
    """The last gradient.

    Attributes:
      previous_gradient: the gradients of the last step, zero before the first.
    """

    previous_gradient: Updates


@transformation("transform", example={}, all_reduces=1)
def mars(b1: Decay = 0.95, gamma: Rate = 0.025, max_norm: Bound = 1.0) -> GradientTransformation:
    r"""Correct each gradient by its change since the last step (Yuan et al., arXiv 2411.10438).

    .. math::
        c_t = g_t + \gamma \frac{b_1}{1 - b_1} (g_t - g_{t-1}), \quad
        u_t = c_t \min(1, max_{norm} / \lVert c_t \rVert)

    with the norm of each leaf by itself and `g_0 = 0`, as in the authors' code. In front of AdamW
    with the same `b1` this is MARS-AdamW; in front of the sign of an `ema` with decay `b1` it is
    MARS-Lion. Both are the approximate form: in the exact form, `g_{t-1}` is the gradient of the
    current batch at the previous parameters.

    The authors' code excludes vectors and gives them to AdamW, unless `optimize_1d` is set.

    Args:
      b1: decay of the first moment of the optimizer behind it, in [0, 1).
      gamma: weight of the correction, ≥ 0; 0 leaves only the clipping.
      max_norm: the norm that each leaf is clipped to, ≥ 0; infinity means no clipping.

    If gradients do not change, the correction is zero from the second step on:

    >>> import jax.numpy as jnp
    >>> tx = mars(0.5, gamma=0.5, max_norm=10.0)
    >>> g = jnp.array([3.0, 4.0])
    >>> first, state = tx.update(g, tx.init(g))
    >>> second, state = tx.update(g, state)
    >>> first.tolist(), second.tolist()
    ([4.5, 6.0], [3.0, 4.0])
    """

    def init(params):
        return MarsState(slots(params))

    def leaf(g, g_prev):
        c = g + gamma * (b1 / (1 - b1)) * (g - g_prev)
        a, b = shrink(global_norm(c), max_norm)
        return b * (a * c), g

    return per_leaf(init, leaf, ("previous_gradient",))
