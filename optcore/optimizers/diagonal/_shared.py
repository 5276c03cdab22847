"""Second moments that several coordinates share: one state element per part of an array."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import Axes, Params, Updates, abs_sq, over_root, safe_sqrt, saturated, slots


class Moment(NamedTuple):
    """The second moment of one array, or of each in a tree.

    Attributes:
      row: the means along the second of two axes, or `None`.
      col: the means along the first axis.
      full: without factored axes, one number per coordinate.
    """

    row: Any
    col: Any
    full: Any


def without(ndim: int, axes: Collection[int]) -> Axes:
    """The axes that a slot keeps of `ndim` axes if it has length 1 along some."""
    return tuple(None if i in axes else i for i in range(ndim))


def factored_slots(params: Params, axes_of: Callable[[Any], tuple[int, int] | None]) -> Moment:
    """Zeros for `factored_moment`, as three trees.

    Args:
      params: only its floating-point parameters have slots.
      axes_of: the two axes to factor, or `None`.
    """

    def means(lost: int) -> Updates:
        def kept(p: Any) -> Axes | None:
            axes = axes_of(p)
            return None if axes is None else without(jnp.ndim(p), axes[lost : lost + 1])

        return slots(params, real=True, axes=kept)

    def full(p: Any) -> Axes | None:
        return without(jnp.ndim(p), ()) if axes_of(p) is None else None

    return Moment(means(1), means(0), slots(params, real=True, axes=full))


def factored_moment(
    g: jax.Array,
    v: Moment,
    axes: tuple[int, int] | None,
    decay: jax.Array | float,
    weight: jax.Array | float,
    eps: jax.Array | float,
) -> Moment:
    """`decay · v + weight · (|g|² + eps)`; with factored axes only its means are kept.

    Args:
      g: the array to square, real or complex.
      v: as `factored_slots` makes it.
      axes: the two to factor; the first mean is taken along the second axis, and vice versa.
      decay: of the running average.
      weight: of the new term.
      eps: added to the square, ≥ 0.
    """
    if axes is None:
        return Moment(None, None, decay * v.full + weight * (abs_sq(g, 1.0) + eps))
    square = abs_sq(g) + eps
    row, col = (saturated(square.mean(axis, keepdims=True)) for axis in axes[::-1])
    return Moment(decay * v.row + weight * row, decay * v.col + weight * col, None)


def steady(x: jax.Array, where: jax.Array) -> jax.Array:
    """`x`, which derivatives treat as constant at some places."""
    return jnp.where(where, jax.lax.stop_gradient(x), x)


def over_factored_root(g: jax.Array, v: Moment, axes: tuple[int, int] | None) -> jax.Array:
    """`g / √v`, where factored moments represent the matrix `row · column / mean(row)`.

    The result is 0 where `v` is 0. Derivatives treat a mean as constant where second-order
    derivatives, which contain its power -3/2, would overflow.
    """
    if axes is None:
        return over_root(g, v.full, 0.0, 0.0)
    row, col = (steady(x, x < 2.0**-80) for x in (v.row, v.col))
    # Roots are taken of vectors only; matrices are only multiplied.
    one = jnp.ones((), row.dtype)
    scaled = safe_sqrt(saturated(row.mean(axes[0], keepdims=True))) * over_root(one, row, 0.0, 0.0)
    return g * scaled * over_root(one, col, 0.0, 0.0)
