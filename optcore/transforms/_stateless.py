"""Transformations without memory: the identity, zero, and any function of the updates."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from .._core import (
    EmptyState,
    GradientTransformation,
    Leafwise,
    Params,
    Updates,
    map_leaves,
    per_leaf,
    transformation,
)


def plain(f: Callable[[Updates, Params], Updates]) -> GradientTransformation:
    """The pair of `stateless`, for factories that are declared themselves."""

    def init(params):
        return EmptyState()

    def update(updates, state, params=None, **extra):
        return f(updates, params), state

    return Leafwise(init, update)


def _tanh(updates: Updates, params: Params) -> Updates:
    return jax.tree.map(jnp.tanh, updates)


@transformation("transform", example={"f": _tanh})
def stateless(f: Callable[[Updates, Params], Updates]) -> GradientTransformation:
    """Apply a pure function of the updates and the parameters.

    Args:
      f: `f(updates, params) -> updates`; `params` is `None` if `update` was not given them.
        Plain functions are compared by identity.

    >>> import jax, jax.numpy as jnp
    >>> tx = stateless(lambda updates, params: jax.tree.map(jnp.sign, updates))
    >>> tx.update(jnp.array([-3.0, 0.5]), tx.init(jnp.zeros(2)))[0].tolist()
    [-1.0, 1.0]
    """
    return GradientTransformation(*plain(f))


def _towards_zero(g: jax.Array, p: jax.Array | None) -> jax.Array:
    return g if p is None else g + 0.1 * p


@transformation("transform", example={"f": _towards_zero})
def stateless_with_tree_map(
    f: Callable[[jax.Array, jax.Array | None], jax.Array],
) -> GradientTransformation:
    """Apply a pure function of one update and its parameter to every leaf.

    Args:
      f: `f(g, p) -> u`; `p` is `None` if `update` was not given parameters. It sees float32 or
        wider. Plain functions are compared by identity.

    >>> import jax.numpy as jnp
    >>> tx = stateless_with_tree_map(lambda g, p: g + 0.5 * p)
    >>> params = {"w": jnp.array([2.0, -4.0])}
    >>> tx.update({"w": jnp.zeros(2)}, tx.init(params), params)[0]["w"].tolist()
    [1.0, -2.0]
    """

    def mapped(updates, params):
        if params is None:
            return map_leaves(lambda g: f(g, None), updates)
        return map_leaves(f, updates, reads=(params,))

    return plain(mapped)


@transformation("transform", example={}, per_example="single")
def identity() -> GradientTransformation:
    """Leave the updates as they are.

    >>> import jax.numpy as jnp
    >>> identity().update(jnp.float32(3.0), EmptyState())[0].item()
    3.0
    """
    return plain(lambda updates, params: updates)


@transformation("transform", example={}, stage="freeze", per_example="single")
def set_to_zero() -> GradientTransformation:
    """Replace every update, also a non-finite one, by an exact zero.

    >>> import jax.numpy as jnp
    >>> set_to_zero().update(jnp.float32(jnp.nan), EmptyState())[0].item()
    0.0
    """
    return per_leaf(None, jnp.zeros_like, rows=True)
