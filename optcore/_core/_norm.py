"""The Euclidean norm of a tree."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._numerics import abs_sq, is_inexact, wide
from ._tape import any_tracer, settle


def _squares(x: jax.Array, factor: jax.Array) -> jax.Array:
    return jnp.sum(abs_sq(x * factor.astype(x.dtype))).astype(factor.dtype)


@jax.custom_jvp
def _norm(leaves: list[jax.Array]) -> jax.Array:
    """√Σ|x|², computed once; and again with the leaves scaled if that over- or underflowed."""
    squares = jax.jit(_squares) if any_tracer(leaves) else _squares
    one = jnp.ones((), max((x.real.dtype for x in leaves), key=lambda dtype: dtype.itemsize))

    def total(factor: jax.Array) -> jax.Array:
        return functools.reduce(jnp.add, [squares(x, factor) for x in leaves])

    first = total(one)
    overflowed, underflowed = ~(first < np.inf), first < 2.0**-100
    factor = jnp.where(overflowed, one * 2.0**-80, jnp.where(underflowed, one * 2.0**80, one))
    second = lax.cond(overflowed | underflowed, lambda: total(factor), lambda: first)
    return jnp.sqrt(second) / factor


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
    leaves = [jnp.asarray(x) for x in jax.tree.leaves(settle(tree)) if is_inexact(x)]
    leaves = [x.astype(wide(x.dtype)) for x in leaves if x.size]
    return _norm(leaves) if leaves else jnp.zeros((), jnp.float32)
