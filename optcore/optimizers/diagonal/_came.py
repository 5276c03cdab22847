"""CAME: factored second moments, and momentum that counts less where updates disagree with it."""

from typing import Any, NamedTuple

from ..._core import (
    Bound,
    Decay,
    GradientTransformation,
    Mask,
    Rate,
    Updates,
    global_norm,
    per_leaf,
    shrink,
    slots,
    squarable,
    transformation,
    whole_size,
)
from ...compose import descend
from ._factored import factored_axes
from ._shared import Moment, factored_moment, factored_slots, over_factored_root, steady


class ScaleByCameState(NamedTuple):
    """The moments.

    Attributes:
      mu: running average of the clipped updates, like the parameters.
      nu_row: row means of the second moment of the gradients, real; like every field but `nu`, it
        is `None` for arrays with fewer than two axes.
      nu_col: its column means.
      nu: the second moment of arrays with fewer than two axes; `None` for matrices.
      nu_residual_row: row means of the second moment of how far the updates are from `mu`.
      nu_residual_col: its column means.
    """

    mu: Updates
    nu_row: Updates
    nu_col: Updates
    nu: Updates
    nu_residual_row: Updates
    nu_residual_col: Updates


def _axes(p: Any) -> tuple[int, int] | None:
    return factored_axes(p, 0, "last")


@transformation("direction", example={}, all_reduces=3, whole=True)
def scale_by_came(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    eps: Rate = 1e-30,
    eps_residual: Rate = 1e-16,
    clipping_threshold: Bound = 1.0,
) -> GradientTransformation:
    r"""The direction of CAME (Luo et al., arXiv 2307.02047, algorithm 2).

    With :math:`F(V)` the factored form of a matrix, `row · column / mean(row)`, of which the state
    keeps only the row and column means:

    .. math::
        V_t = b_2 V_{t-1} + (1 - b_2) (|G_t|^2 + eps), \quad
        U_t = G_t / \sqrt{F(V_t)}, \quad
        \hat U_t = U_t / \max(1, \mathrm{RMS}(U_t) / clipping\_threshold)

        M_t = b_1 M_{t-1} + (1 - b_1) \hat U_t, \quad
        S_t = b_3 S_{t-1} + (1 - b_3) (|\hat U_t - M_t|^2 + eps_{residual})

    and the update is :math:`M_t / \sqrt{F(S_t)}`. Arrays of rank 0 and 1 are not factored, and
    their update is :math:`M_t`; of higher rank, the last two axes are. There is no bias
    correction.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      b3: decay of the residual, in [0, 1).
      eps: added to the squares of the gradients, ≥ 0.
      eps_residual: added to the squares of the residual, ≥ 0.
      clipping_threshold: of the root mean square of `U_t`, ≥ 0; infinity means no clipping.

    On a vector the first update is `1 - b1` times the sign of the gradient, as clipping undoes
    the missing bias correction:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_came()
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 6) for x in u.tolist()]
    [0.1, -0.1]
    """

    def init(params):
        row, col, _ = factored_slots(params, _axes)
        return ScaleByCameState(slots(params), *factored_slots(params, _axes), row, col)

    def leaf(g, m, row, col, full, residual_row, residual_col):
        raw, g = g, squarable(g, spoilt=True)
        axes = _axes(g)
        v = factored_moment(raw, Moment(row, col, full), axes, b2, 1 - b2, eps)
        u = over_factored_root(g, v, axes)
        a, b = shrink(global_norm(u) * (1 / max(whole_size(u), 1) ** 0.5), clipping_threshold)
        u = b * (a * u)
        m = b1 * m + (1 - b1) * u
        if axes is None:
            return m, m, *v, None, None
        s = Moment(residual_row, residual_col, None)
        s = factored_moment(u - m, s, axes, b3, 1 - b3, eps_residual)
        # Where updates are nearly zero, derivatives are about 1/√(eps · eps_residual), and their
        # squares overflow.
        resting = (s.row < 2.0**-40) | (s.col < 2.0**-40)
        settled = Moment(steady(s.row, s.row < 2.0**-40), steady(s.col, s.col < 2.0**-40), None)
        return over_factored_root(steady(m, resting), settled, axes), m, *v, s.row, s.col

    return per_leaf(init, leaf, ScaleByCameState._fields)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def came(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    eps: Rate = 1e-30,
    eps_residual: Rate = 1e-16,
    clipping_threshold: Bound = 1.0,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """CAME with decoupled weight decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_came`. Besides the first moment, its state has
    `2 (m + n)` numbers for an `m × n` matrix.

    Args:
      learning_rate: ≥ 0; the authors use 2e-4.
      b1: see `scale_by_came`, like the five that follow.
      b2: decay of the second moment.
      b3: decay of the residual.
      eps: added to the squares of the gradients.
      eps_residual: added to the squares of the residual.
      clipping_threshold: of the root mean square of the updates.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    Scaling all gradients by a constant changes nothing:

    >>> import jax.numpy as jnp
    >>> tx = came(0.01)
    >>> w, g = jnp.zeros((2, 2)), jnp.array([[1.0, 2.0], [-3.0, 4.0]])
    >>> once, _ = tx.update(g, tx.init(w), w)
    >>> scaled, _ = tx.update(1024 * g, tx.init(w), w)
    >>> bool((once == scaled).all())
    True
    """
    direction = scale_by_came(b1, b2, b3, eps, eps_residual, clipping_threshold)
    return descend(direction, learning_rate, weight_decay, mask)
