"""ADOPT: momentum of gradients that were divided by the second moment before them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Rate,
    abs_sq,
    per_leaf,
    safe_divide,
    safe_sqrt,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend
from ._adam import ScaleByAdamState


def _fourth_root(count: jax.Array) -> jax.Array:
    return count.astype(jnp.float32) ** 0.25


@transformation("direction", example={})
def scale_by_adopt(
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: Rate = 1e-6,
    mu_dtype: DType | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], jax.Array] | None = None,
) -> GradientTransformation:
    r"""The direction of ADOPT (Taniguchi et al., arXiv 2411.02853, algorithm 2).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) \,
        \mathrm{clip}(g_t / \max(\sqrt{v_{t-1}}, eps), \, c_t), \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \quad u_t = m_t

    for t = 1, 2, …; the first update, t = 0, is zero and sets `v_0 = |g_0|²`. The gradient is
    divided by a second moment that does not include it, which is why the method converges for any
    `b2`. There is no bias correction.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: lower bound of the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.
      nesterov: `u_t` is the first moment after a second averaging step with the same gradient.
      use_clipping: bound what enters the average; without it, this is algorithm 1 with `m_0 = 0`.
      clip_value_fn: from `t`, an int32 array, to `c_t` ≥ 0; by default `t^0.25`. Absolute values
        of complex numbers are bounded. Plain functions are compared by identity.

    The first gradient only sets the scale; the second is bounded by `c_1 = 1`:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adopt(b1=0.5)
    >>> state = tx.init(jnp.zeros(2))
    >>> for g in ([2.0, 2.0], [1.0, -30.0]):
    ...     update, state = tx.update(jnp.array(g), state)
    ...     print(update.tolist())
    [0.0, 0.0]
    [0.25, -0.5]
    """

    def init(params):
        return ScaleByAdamState(zero_count(), slots(params, mu_dtype), slots(params, real=True))

    def first_and_limit(t):
        limits = ((clip_value_fn or _fourth_root)(t - 1),) if use_clipping else ()
        return t == 1, *limits

    def leaf(g, m, v, first, *c):
        raw, g = g, squarable(g)
        root = jnp.maximum(safe_sqrt(v), eps)
        x = jnp.where(first, 0, safe_divide(g, root))
        x = _bounded(x, *c) if c else x
        m = b1 * m + (1 - b1) * x
        v = jnp.where(first, abs_sq(raw, 1.0), b2 * v + abs_sq(raw, 1 - b2))
        return (b1 * m + (1 - b1) * x if nesterov else m), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=first_and_limit)


def _bounded(x: jax.Array, c: jax.Array) -> jax.Array:
    """`x` with absolute values of at most `c`."""
    if not jnp.iscomplexobj(x):
        return jnp.minimum(jnp.maximum(x, -c), c)
    size = jnp.abs(x)
    large = size > c
    return jnp.where(large, c * (x / jnp.where(large, size, 1)), x)


@transformation("optimizer", example={"learning_rate": 0.02})
def adopt(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: Rate = 1e-6,
    mu_dtype: DType | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[jax.Array], jax.Array] | None = None,
) -> GradientTransformation:
    """ADOPT: `w ← w - learning_rate · u_t` with the direction of `scale_by_adopt`.

    For decoupled weight decay put `add_decayed_weights` between the direction and the rate.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adopt`, like all that follow.
      b2: decay of the second moment.
      eps: lower bound of the root.
      mu_dtype: of the first moment.
      nesterov: Nesterov momentum.
      use_clipping: bound what enters the average.
      clip_value_fn: the bound; by default `t^0.25`.

    The first step is zero, and the second has length at most `learning_rate · (1 - b1)`:

    >>> import jax.numpy as jnp
    >>> tx = adopt(0.1, b1=0.5)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (2.0, -30.0):
    ...     step, state = tx.update(jnp.float32(g), state)
    ...     print(round(abs(step.item()), 6))
    0.0
    0.05
    """
    direction = scale_by_adopt(
        b1,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        use_clipping=use_clipping,
        clip_value_fn=clip_value_fn,
    )
    return descend(direction, learning_rate)
