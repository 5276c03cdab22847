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
    per_leaf,
    transformation,
)


def plain(f: Callable[[Updates, Params], Updates]) -> GradientTransformation:
    """The pair of `stateless`, for factories that are declared on their own."""

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
    """Replace every update by an exact zero, even a non-finite one.

    >>> import jax.numpy as jnp
    >>> set_to_zero().update(jnp.float32(jnp.nan), EmptyState())[0].item()
    0.0
    """
    return per_leaf(None, jnp.zeros_like, rows=True)
