"""Shared code for wrappers of narrow parameters, whose inner optimizer works on wide ones."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    flatten_like,
    slot_of,
    wide,
)
from ._rounding import is_narrow


class Remainder(NamedTuple):
    """The way in which the wide parameter is stored beside the narrow one.

    Attributes:
      split: takes the wide parameter, float32, and the narrow dtype; returns the rounded parameter,
        still in float32, and the stored remainder.
      join: takes the narrow parameter and the stored remainder; returns the wide parameter.
    """

    split: Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]
    join: Callable[[jax.Array, jax.Array], jax.Array]


def carry(
    inner: GradientTransformation,
    remainder: Remainder,
    make: Callable[[Any, State], Any],
    rest_of: Callable[[Any], Any],
) -> GradientTransformation:
    """`inner` on wide parameters, with updates between rounded parameters.

    Args:
      inner: the wrapped optimizer.
      remainder: the way in which the wide parameters are stored.
      make: makes the state from the stored remainder and the state of `inner`.
      rest_of: the stored remainder in a state.
    """
    inner = adapt(inner)

    def init(params: Params) -> Any:
        stored = jax.tree.map(functools.partial(_first, remainder), params)
        return make(stored, inner.init(jax.tree.map(_widened, params)))

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        leaves, treedef = jax.tree.flatten(params)
        stored = flatten_like(treedef, rest_of(state))
        wide_params = [
            _joined(remainder, p, s) if is_narrow(p) else p
            for p, s in zip(leaves, stored, strict=True)
        ]
        steps, new = inner.update(updates, state.inner, treedef.unflatten(wide_params), **extra)
        moved = [
            (u, s) if u is None or not is_narrow(p) else _moved(remainder, p, w, u)
            for p, w, s, u in zip(
                leaves, wide_params, stored, flatten_like(treedef, steps), strict=True
            )
        ]
        steps, kept = (treedef.unflatten([pair[i] for pair in moved]) for i in (0, 1))
        return steps, make(kept, new)

    return GradientTransformation(init, update)


def _first(remainder: Remainder, p: Any) -> Any:
    if not is_narrow(p):
        return None
    # Only zeros can be made from a bare shape; zeros_like inherits the sharding.
    start = jnp.zeros_like(p) if isinstance(p, jax.ShapeDtypeStruct) else p
    return slot_of(p, _split(remainder, start)[1])


def _widened(p: Any) -> Any:
    if not is_narrow(p):
        return p
    if isinstance(p, jax.ShapeDtypeStruct):
        return slot_of(p, p.update(dtype=wide(p.dtype)))
    return slot_of(p, p.astype(wide(p.dtype)))


@functools.partial(jax.jit, static_argnums=0)
def _joined(remainder: Remainder, p: jax.Array, rest: jax.Array) -> jax.Array:
    return remainder.join(p, rest)


@functools.partial(jax.jit, static_argnums=0)
def _split(remainder: Remainder, p: jax.Array) -> tuple[jax.Array, jax.Array]:
    return remainder.split(p.astype(jnp.float32), p.dtype)


@functools.partial(jax.jit, static_argnums=0)
def _moved(
    remainder: Remainder, p: jax.Array, wide_p: jax.Array, u: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The update to the new rounded parameter, and the remainder stored beside it."""
    rounded, rest = remainder.split(wide_p + u.astype(wide_p.dtype), p.dtype)
    return rounded - p.astype(jnp.float32), rest
