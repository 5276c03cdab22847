"""The Euclidean norm of a tree."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._numerics import abs_sq, is_inexact, safe_sqrt, wide
from ._tape import any_tracer, real_dtype, settle


def _squares(x: jax.Array, factor: jax.Array) -> jax.Array:
    return jnp.sum(abs_sq(x * factor.astype(x.dtype))).astype(factor.dtype)


Total = Callable[[jax.Array], jax.Array]
"""The sum of squares of all leaves, each times a factor."""


def _lost(squares: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether squares overflowed, and whether so many vanished that the sum says nothing."""
    smallest = 2.0 ** (-0.78 * jnp.finfo(squares.dtype).maxexp)
    return ~(squares < np.inf), squares < smallest


def _factors(one: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Powers of two that bring the largest and the smallest numbers within reach of squaring.

    Their own squares do not overflow: XLA may multiply the factors before the numbers.
    """
    half = int(jnp.finfo(one.dtype).maxexp) // 2
    return one * 2.0**-half, one * 2.0 ** (half - 1)


def _again_if_lost(total: Total, one: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum, computed a second time with a factor only if the first was lost."""
    down, up = _factors(one)

    def attempt(carry: Any) -> Any:
        tries, factor, _ = carry
        squares = total(factor)
        overflowed, underflowed = _lost(squares)
        lost = (tries == 0) & (overflowed | underflowed)
        rescue = jnp.where(overflowed, down, up)
        return tries + jnp.where(lost, 1, 2), jnp.where(lost, rescue, factor), squares

    _, factor, squares = lax.while_loop(lambda carry: carry[0] < 2, attempt, (0, one, one))
    return squares, factor


def _all_at_once(total: Total, one: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum with three factors, of which one is chosen: nothing waits for the outcome."""
    down, up = _factors(one)
    plain = total(one)
    overflowed, underflowed = _lost(plain)
    squares = jnp.where(overflowed, total(down), jnp.where(underflowed, total(up), plain))
    return squares, jnp.where(overflowed, down, jnp.where(underflowed, up, one))


@jax.custom_jvp
def _norm(leaves: list[jax.Array]) -> jax.Array:
    """√Σ|x|², safe against over- and underflow of the squares."""
    squares = jax.jit(_squares) if any_tracer(leaves) else _squares
    widest = max((real_dtype(x.dtype) for x in leaves), key=lambda dtype: dtype.itemsize)
    one = jnp.ones((), widest)

    def total(factor: jax.Array) -> jax.Array:
        return functools.reduce(lax.add, [squares(x, factor) for x in leaves])

    # On a CPU a second pass over memory is dear and a branch is free; on accelerators a branch
    # makes the host wait, and reductions of the same array share one pass. A loop inside
    # shard_map would need its carry to vary over the mesh as the leaves do.
    manual = bool(jax.sharding.get_abstract_mesh().manual_axes)
    branches = jax.default_backend() == "cpu" and not manual
    value, factor = (_again_if_lost if branches else _all_at_once)(total, one)
    return jnp.sqrt(value) / factor


@_norm.defjvp
def _norm_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (leaves,), (leaves_dot,) = primals, tangents
    norm = _norm(leaves)
    reciprocal = jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0)
    slope = jnp.zeros_like(norm)
    for x, x_dot in zip(leaves, leaves_dot, strict=True):
        direction = (x * reciprocal.astype(x.dtype)).conj()
        slope = slope + jnp.sum((direction * x_dot).real).astype(norm.dtype)
    return norm, slope


def global_norm(tree: Any) -> jax.Array:
    """The Euclidean norm over all floating-point leaves of a tree.

    It is computed in at least float32, does not overflow or vanish where the result is
    representable, and has derivative 0 at 0. A tree without leaves has norm 0.

    >>> import jax.numpy as jnp
    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0]), "c": None}))
    5.0
    >>> float(global_norm(jnp.array([1e30, 0.0])))
    1.0000000150474662e+30
    """
    found = [jnp.asarray(x) for x in jax.tree.leaves(settle(tree)) if is_inexact(x)]
    leaves = [x if x.dtype == wide(x.dtype) else x.astype(wide(x.dtype)) for x in found if x.size]
    return _norm(leaves) if leaves else jnp.zeros((), jnp.float32)


def norm_along(x: jax.Array, axes: int | tuple[int, ...]) -> jax.Array:
    """The Euclidean norm along some axes, which stay with length 1; safe like `global_norm`.

    >>> import jax.numpy as jnp
    >>> norm_along(jnp.array([[3e25], [4e25]]), 0).tolist()
    [[4.999999989293751e+25]]
    """
    largest = jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0)
    down, up = _factors(jnp.ones_like(largest))
    # Powers of two far from the ends of the range: dividing by the largest number itself is
    # multiplying by its reciprocal, which may vanish.
    factor = jnp.where(largest > 2.0**40, down, jnp.where(largest < 2.0**-40, up, 1))
    return safe_sqrt(jnp.sum(abs_sq(x * factor), axis=axes, keepdims=True)) / factor
