"""Checks for finite values, and selection between two trees."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._agreement import joint, over_parts
from ._leaves import map_leaves
from ._numerics import increment, is_inexact
from ._types import Updates


@jax.jit
def _zero_or_nan(x: jax.Array) -> jax.Array:
    """0 if every element is finite, NaN if not: a sum, which CPUs do faster than `all`."""
    zeros = jnp.sum(x - x)
    return (zeros.real + zeros.imag if jnp.iscomplexobj(x) else zeros).astype(jnp.float32)


def _floats(tree: Any) -> list[jax.Array]:
    return [jnp.asarray(x) for x in jax.tree.leaves(tree) if is_inexact(x)]


def _sum(numbers: Iterator[jax.Array]) -> jax.Array:
    return functools.reduce(lax.add, numbers, jnp.zeros((), jnp.float32))


def all_finite(tree: Any) -> jax.Array:
    """Whether no floating-point leaf of a tree holds NaN or an infinity, as a boolean scalar.

    Inside `shard_map` the result is the same on all devices that hold parts of the same leaves.
    """
    leaves = _floats(tree)
    return jnp.isfinite(over_parts(_sum(map(_zero_or_nan, leaves)), joint(*leaves)))


def step_is_sound(before: Any, steps: Any, new: Any, old: Any) -> tuple[jax.Array, jax.Array]:
    """Whether the gradients are finite; and whether the step and the state are still finite.

    Both are one agreement between devices, so the computation does not wait for the first.

    Args:
      before: the gradients.
      steps: the updates made from them.
      new: the state.
      old: the previous state; a leaf that was infinite may stay infinite.
    """
    came, went = _floats(before), _floats(steps)
    pairs = [
        (jnp.asarray(n), jnp.asarray(o))
        for n, o in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
        if is_inexact(n)
    ]
    lost = (jnp.where(jnp.isnan(_zero_or_nan(o)), 0, _zero_or_nan(n)) for n, o in pairs)
    sums = _sum(map(_zero_or_nan, came)), _sum(map(_zero_or_nan, went)) + _sum(lost)
    names = joint(*came, *went, *(n for n, _ in pairs))
    finite, sound = jnp.isfinite(over_parts(jnp.stack(sums), names))
    return finite, sound


def choose(take: jax.Array, new: Any, old: Any) -> Any:
    """The new tree or the old one, leaf by leaf; under `vmap` each member has its own choice."""
    return jax.tree.map(lambda n, o: jnp.where(take, n, o), new, old)


def tally(fine: jax.Array, in_a_row: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The skipped steps in a row and in total, with this one."""
    return jnp.where(fine, 0, increment(in_a_row)), jnp.where(fine, total, increment(total))


def zero_unless(take: jax.Array, updates: Updates) -> Updates:
    """The updates, or exact zeros."""
    return map_leaves(lambda u, take: jnp.where(take, u, 0), updates, scalars=(take,))


def finite_part(updates: Updates) -> Updates:
    """The updates with 0 for every element that is not finite."""
    return map_leaves(lambda g: jnp.where(jnp.isfinite(g), g, 0), updates)
