"""Constraints on updates and parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Bound,
    GradientTransformation,
    Hyperparameter,
    is_inexact,
    norm_along,
    own_axes,
    per_leaf,
    shrink,
    slot_of,
    transformation,
    whole_count,
)


@transformation("transform", example={}, needs=("params",), real_only=True)
def keep_params_nonnegative() -> GradientTransformation:
    """Change the updates so that no parameter becomes negative: `u ← max(u, -p)`.

    This is a projection onto the non-negative orthant if it is the last transformation of a chain
    and the parameters start there. `keep_params_in_box` sets other bounds.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = keep_params_nonnegative()
    >>> params = jnp.array([1.0, 1.0])
    >>> tx.update(jnp.array([-3.0, 0.5]), tx.init(params), params=params)[0].tolist()
    [-1.0, 0.5]
    """

    def leaf(u, p):
        return jnp.maximum(u, -p)

    return per_leaf(None, leaf, reads=lambda params: (params,))


@transformation(
    "transform",
    example={"low": -2.0, "high": 2.0},
    needs=("params",),
    real_only=True,
)
def keep_params_in_box(
    low: Hyperparameter | None = None, high: Hyperparameter | None = None
) -> GradientTransformation:
    """Change the updates so that every parameter stays in `[low, high]`.

    `u ← min(max(u, low - p), high - p)`: the step ends at the projection of `p + u` onto the box,
    up to rounding. Put it last in a chain, where it sees the final step.

    Args:
      low: the smallest value, or `None` for no such bound.
      high: the largest value, ≥ `low`, or `None` for no such bound.

    Raises:
      ValueError: `low` is greater than `high`, or `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = keep_params_in_box(0.0, 1.0)
    >>> params = jnp.array([0.5, 0.5, 0.5])
    >>> tx.update(jnp.array([-3.0, 0.25, 3.0]), tx.init(params), params=params)[0].tolist()
    [-0.5, 0.25, 0.5]
    """
    if isinstance(low, float) and isinstance(high, float) and low > high:
        raise ValueError(
            f"keep_params_in_box: low must be at most high, got low={low} and high={high}"
        )

    def leaf(u, p):
        u = u if low is None else jnp.maximum(u, low - p)
        return u if high is None else jnp.minimum(u, high - p)

    return per_leaf(None, leaf, reads=lambda params: (params,))


@transformation("transform", example={"radius": 1.0}, needs=("params",), all_reduces=1)
def keep_params_in_ball(
    radius: Bound, axes: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    """Change the updates so that the norm of every parameter is at most `radius`.

    The step ends at the projection of `p + u` onto the ball, up to rounding; a step that ends
    inside is unchanged. Put it last in a chain, where it sees the final step.

    Args:
      radius: ≥ 0; infinity means no constraint.
      axes: the axes that the norm is taken over; by default all axes of a leaf. `0` bounds the
        weights into each unit of a dense layer (the max-norm constraint of Srivastava et al.,
        2014).

    Raises:
      ValueError: `update` was not given `params`, or the axes do not fit them.

    >>> import jax.numpy as jnp
    >>> tx = keep_params_in_ball(5.0)
    >>> params = jnp.array([3.0, 4.0])
    >>> step, _ = tx.update(jnp.array([3.0, 4.0]), tx.init(params), params=params)
    >>> (params + step).tolist()
    [3.0, 4.0]
    """

    def leaf(u, p):
        q = p + u
        size = norm_along(q, own_axes("keep_params_in_ball: axes", axes, q))
        a, b = shrink(size, radius)
        return jnp.where(size > radius, b * (a * q) - p, u)

    return per_leaf(None, leaf, reads=lambda params: (params,))


class ZeroNansState(NamedTuple):
    """Which leaves of the last update held a NaN.

    Attributes:
      found_nan: a tree of booleans: whether the last update of the leaf held a NaN; an update of
        `None` does not count.
    """

    found_nan: Any


@transformation("transform", example={}, per_example="single", all_reduces=1)
def zero_nans() -> GradientTransformation:
    """Replace every NaN in the updates by 0; infinities stay.

    >>> import jax.numpy as jnp
    >>> tx = zero_nans()
    >>> updates, state = tx.update(jnp.array([jnp.nan, 2.0]), tx.init(jnp.zeros(2)))
    >>> updates.tolist(), bool(state.found_nan)
    ([0.0, 2.0], True)
    """

    def init(params):
        def flag(p):
            return slot_of(p, jnp.zeros((), jnp.bool_), ()) if is_inexact(p) else None

        return ZeroNansState(jax.tree.map(flag, params))

    def leaf(g, found):
        nan = jnp.isnan(g)
        return jnp.where(nan, jnp.zeros_like(g), g), whole_count(nan) > 0

    return per_leaf(init, leaf, ("found_nan",))
