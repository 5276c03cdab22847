"""What the wrappers that skip steps share: is all of it finite, and which of two states stays."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._core import (
    DeclaredTransformation,
    GradientTransformation,
    Updates,
    increment,
    is_inexact,
    map_leaves,
)


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


def skips_by_itself(tx: Any) -> bool:
    """Whether a non-finite gradient is known to leave it as it is, but for its counters."""
    if not isinstance(tx, DeclaredTransformation):
        return False
    if tx.declaration.name == "guard":
        return tx.arguments["on_nonfinite"] == "skip"
    return tx.declaration.name in ("accumulate", "MultiSteps")


def scales_a_loss(tx: Any) -> bool:
    """Whether it is a loss scale, or one is inside."""
    if not isinstance(tx, DeclaredTransformation):
        return False
    parts = jax.tree.leaves(tx.arguments, is_leaf=_is_declared)
    return tx.declaration.name == "dynamic_loss_scale" or any(map(scales_a_loss, parts))


def refuse_loss_scale(owner: str, *inner: GradientTransformation, whole: bool = True) -> None:
    """Raise if something wrapped scales a loss.

    Args:
      owner: what wraps it.
      inner: what is wrapped.
      whole: every step is for what is wrapped, but that the owner keeps overflows from it;
        otherwise some parameters or steps are for another, which would see scaled gradients.
    """
    if any(map(scales_a_loss, inner)):
        cause = (
            "the steps that overflow would never reach it, and the scale would never fall"
            if whole
            else "it would be one part among others, which would see the gradients of a scaled loss"
        )
        raise ValueError(
            f"{owner}: dynamic_loss_scale must stand outside, as in "
            f"dynamic_loss_scale({owner}(...)): inside, {cause}"
        )


def _is_declared(x: Any) -> bool:
    return isinstance(x, DeclaredTransformation)
