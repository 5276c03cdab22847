"""AdEMAMix and its simplification: Adam with a second, much slower momentum."""

from typing import NamedTuple

import jax

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Rate,
    Retention,
    Updates,
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


class ScaleByAdemamixState(NamedTuple):
    """The moments.

    Attributes:
      count: int32, updates made so far.
      mu: fast first moment, like the parameters.
      mu_slow: slow first moment, like the parameters.
      nu: second moment, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    mu_slow: Updates
    nu: Updates


class ScaleBySimplifiedAdEMAMixState(NamedTuple):
    """The running sum and the second moment.

    Attributes:
      count: int32, updates made so far.
      trace: running sum of the gradients, like the parameters.
      nu: second moment, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    trace: Updates
    nu: Updates


@transformation("direction", example={})
def scale_by_ademamix(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: Rate = 6.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    r"""The direction of AdEMAMix (Pagliardini et al., arXiv 2409.03137, algorithm 1).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        s_t = b_3 s_{t-1} + (1 - b_3) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2

        u_t = (\hat m_t + alpha \, s_t) / (\sqrt{\hat v_t + eps_{root}} + eps)

    with the corrections of Adam for `m` and `v`, and none for the slow average `s`, which should
    fill slowly. The paper warms up both `alpha` and `b3`; without a warm-up, large values of them
    diverge: pass `ademamix_alpha_schedule` and `ademamix_b3_schedule`.

    Args:
      b1: decay of the fast average, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      b3: decay of the slow average, in [0, 1).
      alpha: weight of the slow average, ≥ 0; the paper takes 5 to 8.
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of both averages; by default the parameter's, at least float32.

    On equal gradients the slow average adds up to `alpha` times as much as the fast one:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_ademamix(b3=0.5, alpha=8.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(3):
    ...     update, state = tx.update(jnp.float32(300.0), state)
    ...     print(round(update.item(), 4))
    5.0
    7.0
    8.0
    """

    def init(params):
        m, s = slots(params, mu_dtype), slots(params, mu_dtype)
        return ScaleByAdemamixState(zero_count(), m, s, slots(params, real=True))

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def leaf(g, m, s, v, c1, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        s = b3 * s + (1 - b3) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        return over_root(c1 * m + alpha * s, c2 * v, eps, eps_root), m, s, v

    return per_leaf(init, leaf, ("mu", "mu_slow", "nu"), scalars=corrections)


@transformation("direction", example={})
def scale_by_simplified_ademamix(
    b1: Retention = 0.99,
    b2: Decay = 0.95,
    alpha: Rate = 0.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
) -> GradientTransformation:
    r"""The direction of Simplified AdEMAMix (Morwani et al., arXiv 2502.02431, section 5).

    .. math::
        m_t = b_1 m_{t-1} + g_t, \quad v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \quad
        u_t = (m_t + alpha \, g_t) / (\sqrt{\hat v_t + eps_{root}} + eps)

    with `v` corrected as in Adam. `m` is a sum, up to `1 / (1 - b1)` times as large as an
    average, so the learning rate must be smaller than Adam's by the same factor.

    Args:
      b1: decay of the sum, in [0, 1].
      b2: decay of the second moment, in [0, 1).
      alpha: weight of the present gradient, ≥ 0.
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.

    On equal gradients the sum grows, and the present gradient adds `alpha`:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_simplified_ademamix(b1=0.5, alpha=10.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(3):
    ...     update, state = tx.update(jnp.float32(300.0), state)
    ...     print(round(update.item(), 4))
    11.0
    11.5
    11.75
    """

    def init(params):
        return ScaleBySimplifiedAdEMAMixState(zero_count(), slots(params), slots(params, real=True))

    def correction(t):
        return (1 / debias(b2, t),)

    def leaf(g, m, v, c):
        raw, g = g, squarable(g)
        m = b1 * m + g
        v = b2 * v + abs_sq(raw, 1 - b2)
        return over_root(m + alpha * g, c * v, eps, eps_root), m, v

    return per_leaf(init, leaf, ("trace", "nu"), scalars=correction)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def ademamix(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: Rate = 5.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """AdEMAMix: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_ademamix`; as in the paper the decay is decoupled.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_ademamix`, like the six that follow.
      b2: decay of the second moment.
      b3: decay of the slow average.
      alpha: weight of the slow average.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of both averages.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    The first step is `1 + alpha · (1 - b3)` times as long as Adam's:

    >>> import jax.numpy as jnp
    >>> tx, w = ademamix(0.1, b3=0.5, alpha=8.0), jnp.zeros(2)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(w), params=w)[0].round(4).tolist()
    [-0.5, 0.5]
    """
    direction = scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype)
    return descend(direction, learning_rate, weight_decay, mask)


@transformation("optimizer", example={"learning_rate": 0.001}, needs=("params",))
def simplified_ademamix(
    learning_rate: Rate,
    b1: Retention = 0.99,
    b2: Decay = 0.95,
    alpha: Rate = 0.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Simplified AdEMAMix: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_simplified_ademamix`.

    Args:
      learning_rate: ≥ 0; `1 - b1` times Adam's.
      b1: see `scale_by_simplified_ademamix`, like the four that follow.
      b2: decay of the second moment.
      alpha: weight of the present gradient.
      eps: outside the root.
      eps_root: inside the root.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    The first step has the length `learning_rate · (1 + alpha)` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx, w = simplified_ademamix(0.25, alpha=3.0), jnp.zeros(2)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(w), params=w)[0].round(4).tolist()
    [-1.0, 1.0]
    """
    direction = scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root)
    return descend(direction, learning_rate, weight_decay, mask)
