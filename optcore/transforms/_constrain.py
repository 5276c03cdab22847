"""Constraints on updates and parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    Updates,
    is_inexact,
    map_leaves,
    transformation,
)
from ._stateless import plain


@transformation("transform", example={}, needs=("params",), real_only=True, leafwise=True)
def keep_params_nonnegative() -> GradientTransformation:
    """Change the updates so that no parameter becomes negative: `u ← max(u, -p)`.

    A projection on the non-negative orthant if it is the last transformation of a chain and
    the parameters start there.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = keep_params_nonnegative()
    >>> params = jnp.array([1.0, 1.0])
    >>> tx.update(jnp.array([-3.0, 0.5]), tx.init(params), params=params)[0].tolist()
    [-1.0, 0.5]
    """

    def leaf(u: jax.Array, p: jax.Array) -> jax.Array:
        return jnp.maximum(u, -p)

    return plain(lambda updates, params: map_leaves(leaf, updates, reads=(params,)))


class ZeroNansState(NamedTuple):
    """What the last update held.

    Attributes:
      found_nan: a tree of booleans: whether the last update that the leaf had (`None` is none)
        held a NaN.
    """

    found_nan: Any


@transformation("transform", example={}, leafwise=True)
def zero_nans() -> GradientTransformation:
    """Replace every NaN in the updates by 0. Infinities stay.

    >>> import jax.numpy as jnp
    >>> tx = zero_nans()
    >>> updates, state = tx.update(jnp.array([jnp.nan, 2.0]), tx.init(jnp.zeros(2)))
    >>> updates.tolist(), bool(state.found_nan)
    ([0.0, 2.0], True)
    """

    def init(params: Params) -> ZeroNansState:
        def flag(p: Any) -> Any:
            return jnp.zeros((), jnp.bool_) if is_inexact(p) else None

        return ZeroNansState(jax.tree.map(flag, params))

    def update(
        updates: Updates, state: ZeroNansState, params: Params | None = None, **extra: object
    ) -> tuple[Updates, ZeroNansState]:
        def leaf(g: jax.Array, found: jax.Array) -> tuple[jax.Array, jax.Array]:
            nan = jnp.isnan(g)
            return jnp.where(nan, jnp.zeros_like(g), g), jnp.any(nan)

        updates, found = map_leaves(leaf, updates, (state.found_nan,))
        return updates, ZeroNansState(found)

    return GradientTransformation(init, update)
