"""Grams: the sign of the gradient with the magnitude of Adam."""

import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Rate,
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
from ._adam import ScaleByAdamState


@transformation("direction", example={})
def scale_by_grams(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-6,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    r"""The direction of Grams (Cao et al., arXiv 2412.17107, algorithm 1).

    .. math::
        u_t = \mathrm{sign}(g_t) \,
        \bigl| \hat m_t / (\sqrt{\hat v_t + eps_{root}} + eps) \bigr|

    with the corrected moments of `scale_by_adam`, whose state it shares: momentum sets the length
    of a step, the gradient its direction. For complex gradients the sign is `g / |g|`.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.

    When the gradient changes its sign, so does the update; Adam's does not yet:

    >>> import jax.numpy as jnp
    >>> from optcore import scale_by_adam
    >>> for tx in (scale_by_grams(), scale_by_adam()):
    ...     state = tx.init(jnp.zeros(()))
    ...     for g in (3.0, 3.0, -1.0):
    ...         update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 2))
    -0.61
    0.61
    """

    def init(params):
        return ScaleByAdamState(zero_count(), slots(params, mu_dtype), slots(params, real=True))

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def leaf(g, m, v, c1, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        magnitude = jnp.abs(c1 * over_root(m, c2 * v, eps, eps_root))
        return jnp.sign(g) * magnitude, m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def grams(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-6,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Grams with decoupled weight decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_grams`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_grams`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    A coordinate without a gradient does not move, whatever its momentum:

    >>> import jax.numpy as jnp
    >>> tx = grams(0.1)
    >>> w = jnp.zeros(2)
    >>> _, state = tx.update(jnp.array([300.0, -0.2]), tx.init(w), w)
    >>> step, _ = tx.update(jnp.array([300.0, 0.0]), state, w)
    >>> [round(u, 4) for u in step.tolist()]
    [-0.1, -0.0]
    """
    direction = scale_by_grams(b1, b2, eps, eps_root, mu_dtype)
    return descend(direction, learning_rate, weight_decay, mask)
