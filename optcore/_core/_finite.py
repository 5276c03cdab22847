"""Is all of it finite, and which of two trees stays."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._leaves import map_leaves
from ._numerics import increment, is_inexact
from ._types import Updates


@jax.jit
def _zero_or_nan(x: jax.Array) -> jax.Array:
    """0 if every element is finite, NaN if not: a sum, which CPUs do faster than `all`."""
    zeros = jnp.sum(x - x)
    return (zeros.real + zeros.imag if jnp.iscomplexobj(x) else zeros).astype(jnp.float32)


def all_finite(tree: Any) -> jax.Array:
    """Whether no floating-point leaf of a tree holds NaN or an infinity, as a boolean scalar."""
    sums = [_zero_or_nan(jnp.asarray(x)) for x in jax.tree.leaves(tree) if is_inexact(x)]
    return jnp.isfinite(functools.reduce(lax.add, sums, jnp.zeros((), jnp.float32)))


def stays_finite(new: Any, old: Any) -> jax.Array:
    """Whether every leaf that was finite still is; what starts at infinity may stay there."""
    pairs = zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    lost = [
        jnp.isnan(_zero_or_nan(jnp.asarray(n))) & ~jnp.isnan(_zero_or_nan(jnp.asarray(o)))
        for n, o in pairs
        if is_inexact(n)
    ]
    return ~functools.reduce(jnp.logical_or, lost, jnp.zeros((), bool))


def choose(take: jax.Array, new: Any, old: Any) -> Any:
    """The new tree or the old one, leaf by leaf; under `vmap` each member has its own choice."""
    return jax.tree.map(lambda n, o: jnp.where(take, n, o), new, old)


def tally(fine: jax.Array, in_a_row: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Steps in a row that were not fine, and all of them, with this one."""
    return jnp.where(fine, 0, increment(in_a_row)), jnp.where(fine, total, increment(total))


def zero_unless(take: jax.Array, updates: Updates) -> Updates:
    """The updates, or exact zeros."""
    return map_leaves(lambda u, take: jnp.where(take, u, 0), updates, scalars=(take,))


def finite_part(updates: Updates) -> Updates:
    """The updates with 0 for every element that is not finite."""
    return map_leaves(lambda g: jnp.where(jnp.isfinite(g), g, 0), updates)
