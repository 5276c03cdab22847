"""Second moments that several coordinates share: what stands in a state for a part of an array."""

from typing import Any

import jax
import jax.numpy as jnp

from ..._core import abs_sq, over_root, safe_sqrt, saturated, slots

Moment = Any
"""The second moment of one array: one number per coordinate, or its row and column means."""


def reduced(p: jax.Array, axes: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    """`p` abstractly, with length 1 along some axes."""
    shape: jax.ShapeDtypeStruct = jax.eval_shape(lambda p: jnp.sum(p, axes, keepdims=True), p)
    return shape


def factored_slot(p: jax.Array, axes: tuple[int, int] | None) -> Moment:
    """Zeros for `factored_moment`: the means along each of two axes, or one number for each."""
    if axes is None:
        return slots(p, real=True)
    return slots(reduced(p, axes[1:]), real=True), slots(reduced(p, axes[:1]), real=True)


def factored_moment(
    g: jax.Array,
    v: Moment,
    axes: tuple[int, int] | None,
    decay: jax.Array | float,
    weight: jax.Array | float,
    eps: jax.Array | float,
) -> Moment:
    """`decay · v + weight · (|g|² + eps)`, of which only means are kept if there are axes.

    Args:
      g: what is squared, real or complex.
      v: as `factored_slot` makes it.
      axes: the two to factor; the first mean is taken along the second, and the other way round.
      decay: of the running average.
      weight: of what is new.
      eps: added to the square, ≥ 0.
    """
    if axes is None:
        return decay * v + weight * (abs_sq(g, 1.0) + eps)
    square = abs_sq(g) + eps
    row, column = v
    rows, columns = (saturated(square.mean(axis, keepdims=True)) for axis in axes[::-1])
    return decay * row + weight * rows, decay * column + weight * columns


def steady(x: jax.Array, where: jax.Array) -> jax.Array:
    """`x`, which derivatives take for constant at some places."""
    return jnp.where(where, jax.lax.stop_gradient(x), x)


def over_factored_root(g: jax.Array, v: Moment, axes: tuple[int, int] | None) -> jax.Array:
    """`g / √v`, where factored moments stand for the matrix `row · column / mean(row)`.

    0 where `v` is 0. In derivatives a mean counts as constant where those of the second order,
    which hold its power -3/2, would overflow.
    """
    if axes is None:
        return over_root(g, v, 0.0, 0.0)
    row, column = (steady(x, x < 2.0**-80) for x in v)
    # Roots are taken of vectors, and matrices only multiplied.
    one = jnp.ones((), row.dtype)
    scaled = safe_sqrt(saturated(row.mean(axes[0], keepdims=True))) * over_root(one, row, 0.0, 0.0)
    return g * scaled * over_root(one, column, 0.0, 0.0)
