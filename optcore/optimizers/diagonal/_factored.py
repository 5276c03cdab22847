"""The factored second moment of Adafactor: row means and column means replace a matrix."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Count,
    GradientTransformation,
    Rate,
    Updates,
    per_leaf,
    refuse_part,
    squarable,
    transformation,
    zero_count,
)
from ._shared import Moment, factored_moment, factored_slots, over_factored_root

FactorAxes = Literal["largest", "last"]


class FactoredState(NamedTuple):
    """The factored second moments.

    Attributes:
      count: int32, updates made so far.
      nu_row: for each factored parameter, the running means of squares along the second of its two
        axes, which is kept with length 1; `None` for others.
      nu_col: the means along the first axis.
      nu: for other parameters, the running mean of each square, real; `None` where factored.
    """

    count: jax.Array  # type: ignore[assignment]
    nu_row: Updates
    nu_col: Updates
    nu: Updates


def factored_axes(
    p: Any, min_dim_size: int, axes: FactorAxes = "largest"
) -> tuple[int, int] | None:
    """The two axes of an array to factor, or `None` if it has no two that are large enough."""
    shape = jnp.shape(p)
    if len(shape) < 2 or 0 in shape:
        return None
    refuse_part(p, "a factored second moment")
    order = range(len(shape))
    first, second = (sorted(order, key=shape.__getitem__) if axes == "largest" else order)[-2:]
    return (first, second) if min(shape[first], shape[second]) >= min_dim_size else None


@transformation("direction", example={"min_dim_size_to_factor": 2}, all_reduces=1, whole=True)
def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: Rate = 0.8,
    step_offset: Count = 0,
    min_dim_size_to_factor: Count = 128,
    epsilon: Rate = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] | None = None,
    *,
    factor_axes: FactorAxes = "largest",
) -> GradientTransformation:
    r"""Divide by the root of a factored mean of squares (Shazeer and Stern, arXiv 1804.04235).

    The direction of algorithms 4 and 5 with the decay of section 7.2, :math:`t` from 1:

    .. math::
        R_t = b_t R_{t-1} + (1 - b_t) \,\mathrm{mean}_{rows}(|G_t|^2 + \epsilon), \quad
        C_t = b_t C_{t-1} + (1 - b_t) \,\mathrm{mean}_{columns}(|G_t|^2 + \epsilon)

        U_t = G_t / \sqrt{R_t C_t^\top / \mathrm{mean}(R_t)}, \quad b_t = 1 - t^{-decay\_rate}

    An array that is not factored has a running mean of `|g|² + ε` for every element. Using means in
    place of the paper's sums does not change `U_t`.

    Args:
      factored: factor at all.
      decay_rate: exponent of the decay, ≥ 0; at 0 there is no memory.
      step_offset: the step at which fine-tuning starts; `b_t` counts from there, and is 0
        before.
      min_dim_size_to_factor: an array is factored if both axes are at least as long.
      epsilon: added to the squares, ≥ 0.
      decay_rate_fn: `b_t` as a function of the step (from 0) and `decay_rate`, in place of the
        one above.
      factor_axes: the two `"largest"` axes, as in optax, or the `"last"` two, as in torch and
        the paper's own code for stacked matrices.

    Squares of rank one are represented exactly, so the first update consists of signs:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_factored_rms(min_dim_size_to_factor=2)
    >>> g = jnp.outer(jnp.array([300.0, -0.2]), jnp.array([1.0, -5.0, 2.0]))
    >>> tx.update(g, tx.init(g))[0].round(5).tolist()
    [[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]
    >>> tx.init(g).nu_row.shape, tx.init(g).nu_col.shape
    ((2, 1), (1, 3))
    """

    def axes_of(p):
        return factored_axes(p, min_dim_size_to_factor, factor_axes) if factored else None

    def init(params):
        return FactoredState(zero_count(), *factored_slots(params, axes_of))

    def leaf(g, row, col, full, decay, weight):
        raw, g = g, squarable(g, spoilt=True)
        axes = axes_of(g)
        v = factored_moment(raw, Moment(row, col, full), axes, decay, weight, epsilon)
        return over_factored_root(g, v, axes), *v

    def weights(t):
        """`b_t` and `1 - b_t`."""
        step = t - 1 - step_offset
        if decay_rate_fn is not None:
            weight = 1 - jnp.asarray(decay_rate_fn(step, decay_rate))
        else:
            weight = jnp.maximum(step + 1, 1).astype(jnp.result_type(float)) ** -decay_rate
        return 1 - weight, weight

    return per_leaf(init, leaf, ("nu_row", "nu_col", "nu"), scalars=weights)
