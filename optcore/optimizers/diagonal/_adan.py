"""Adan: Adam with Nesterov momentum made of differences of gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    GradientTransformation,
    Mask,
    Rate,
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
from ...compose import chain
from ...transforms import scale_by_learning_rate, shrink_weights


class ScaleByAdanState(NamedTuple):
    """The moments, and what the next difference needs.

    Attributes:
      count: int32, updates made so far.
      mu: running average of the gradients, like the parameters.
      mu_diff: running average of the differences of gradients, like the parameters.
      nu: running average of the squared absolute gradients ahead, real, like the parameters.
      previous_gradient: the last gradient, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    mu_diff: Updates
    nu: Updates
    previous_gradient: Updates


@transformation("direction", example={})
def scale_by_adan(
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
) -> GradientTransformation:
    r"""The direction of Adan (Xie et al., arXiv 2208.06677, algorithm 1).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) (g_t - g_{t-1})

        n_t = b_3 n_{t-1} + (1 - b_3) |g_t + b_2 (g_t - g_{t-1})|^2

        u_t = (\hat m_t + b_2 \hat v_t) / (\sqrt{\hat n_t + eps_{root}} + eps)

    with `g_0 = g_1`. As in the authors' code, and unlike the box, each average starts at 0 and
    is corrected by its `1 - b^t`. The paper's betas are `1 - b`: its factor `1 - β_2` of the
    difference is `b2` here. optax multiplies by `1 - b2`.

    Args:
      b1: decay of the average of gradients, in [0, 1).
      b2: decay of the average of differences, and how far ahead they look, in [0, 1).
      b3: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.

    The second moment is that of the gradient extrapolated by `b2` times its last change:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adan(b1=0.0, b2=0.5, b3=0.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (3.0, 5.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    >>> state.nu.item() == (5 + 0.5 * (5 - 3)) ** 2
    True
    """

    def init(params):
        m, v, g = slots(params), slots(params), slots(params)
        return ScaleByAdanState(zero_count(), m, v, slots(params, real=True), g)

    def first_and_corrections(t):
        return t == 1, *(1 / debias(b, t) for b in (b1, b2, b3))

    def leaf(g, m, v, n, g_last, first, c1, c2, c3):
        raw, g = g, squarable(g)
        difference = jnp.where(first, 0, raw - g_last)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * squarable(difference)
        n = b3 * n + abs_sq(raw + b2 * difference, 1 - b3)
        return over_root(c1 * m + (b2 * c2) * v, c3 * n, eps, eps_root), m, v, n, raw

    remembered = ("mu", "mu_diff", "nu", "previous_gradient")
    return per_leaf(init, leaf, remembered, scalars=first_and_corrections)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def adan(
    learning_rate: Rate,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: Rate = 1e-8,
    eps_root: Rate = 1e-8,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """Adan: `w ← (w - learning_rate · u_t) / (1 + learning_rate · weight_decay)`.

    The direction `u_t` is that of `scale_by_adan`. The decay is the paper's proximal step,
    `shrink_weights`; optax's decay, an option in the authors' code, is
    `chain(scale_by_adan(...), add_decayed_weights(...), scale_by_learning_rate(...))`. The default
    `eps_root` is optax's; the paper has none.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adan`, like the four that follow.
      b2: decay of the average of differences.
      b3: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    The first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx, w = adan(0.1, eps_root=0.0), jnp.zeros(2)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(w), params=w)[0].round(6).tolist()
    [-0.10000000149011612, 0.10000000149011612]
    """
    return chain(
        scale_by_adan(b1, b2, b3, eps, eps_root),
        scale_by_learning_rate(learning_rate),
        shrink_weights(learning_rate * weight_decay, mask),
    )
