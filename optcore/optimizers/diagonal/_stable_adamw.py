"""StableAdamW: AdamW whose rate shrinks where the second moment lags behind the gradient."""

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Rate,
    abs_sq,
    add_multiple,
    debias,
    fitting,
    over_root,
    per_leaf,
    safe_divide,
    safe_sqrt,
    select,
    slots,
    squarable,
    transformation,
    whole_size,
    whole_sum,
    zero_count,
)
from ...compose import descend
from ._adam import ScaleByAdamState


@transformation("direction", example={}, needs=("params",), all_reduces=1)
def scale_by_stable_adamw(
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    eps: Rate = 1e-8,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 1e-2,
    mask: Mask | None = None,
) -> GradientTransformation:
    r"""The direction of StableAdamW (Wortsman et al., arXiv 2304.13013, algorithm 2).

    .. math::
        RMS_t = \sqrt{\mathrm{mean}(|g_t|^2 / \max(\hat v_t, eps^2))}, \quad
        u_t = \left(\frac{\hat m_t}{\sqrt{\hat v_t} + eps} + weight\_decay \cdot w\right)
        / \max(1, RMS_t)

    with the corrected moments of `scale_by_adam` and the mean over each leaf. Where the squares
    of the gradient are suddenly larger than their average, the whole step of this leaf shrinks,
    its decay included: AdaFactor's clipping of updates, in place of a clipping of gradients.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    A gradient that is suddenly a hundred times larger does not make a larger step; Adam's would be
    `100 / √(0.99 · 1 + 0.01 · 100²) ≈ 10` times as long:

    >>> import jax.numpy as jnp
    >>> tx, w = scale_by_stable_adamw(b1=0.0, weight_decay=0.0), jnp.float32(0.0)
    >>> state = tx.init(w)
    >>> for g in 200 * [1.0] + [100.0]:
    ...     update, state = tx.update(jnp.float32(g), state, params=w)
    >>> round(update.item(), 4)
    1.0
    """

    def init(params):
        return ScaleByAdamState(zero_count(), slots(params, mu_dtype), slots(params, real=True))

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def decaying(params):
        return (select("scale_by_stable_adamw", mask, params, params),)

    def leaf(g, m, v, w, c1, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        u = c1 * over_root(m, c2 * v, eps, 0.0)
        share = 1 / jnp.maximum(_rms(g, c2 * v, eps), 1)
        return share * (u if w is None else add_multiple(u, weight_decay, w)), m, v

    checked = fitting(init, ("scale_by_stable_adamw", mask))
    return per_leaf(checked, leaf, ("mu", "nu"), scalars=corrections, reads=decaying)


def _rms(g: jax.Array, v: jax.Array, eps: Rate) -> jax.Array:
    """The root mean square of `g / max(√v, eps)`, where 0/0 counts as 0."""
    ratio = safe_divide(abs_sq(g), jnp.maximum(v, eps * eps))
    return safe_sqrt(whole_sum(ratio) / max(whole_size(g), 1))


@transformation("optimizer", example={"learning_rate": 0.02}, needs=("params",))
def stable_adamw(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    eps: Rate = 1e-8,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 1e-2,
    mask: Mask | None = None,
) -> GradientTransformation:
    """StableAdamW: `w ← w - learning_rate · u_t` with the direction of `scale_by_stable_adamw`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_stable_adamw`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      mu_dtype: of the first moment.
      weight_decay: decoupled, and shrunk together with the step.
      mask: which parameters decay.

    Raises:
      ValueError: `update` was not given `params`.

    Apart from the decay, the first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx, w = stable_adamw(0.25), jnp.zeros(2)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(w), params=w)[0].round(4).tolist()
    [-0.25, 0.25]
    """
    return descend(scale_by_stable_adamw(b1, b2, eps, mu_dtype, weight_decay, mask), learning_rate)
