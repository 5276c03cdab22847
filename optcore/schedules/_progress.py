"""The part of an interval that a step count has covered, and what lies between two values."""

import jax
import jax.numpy as jnp

from .._core import Hyperparameter


def progress(count: jax.Array, begin: int, length: int) -> jax.Array:
    """`(count - begin) / length` clipped to [0, 1], as float32.

    The integers are clipped before they become floats: float32 counts exactly only to 2²⁴.
    """
    elapsed = jnp.minimum(jnp.maximum(count, begin) - begin, length)
    return elapsed.astype(jnp.float32) / length


def between(low: Hyperparameter, high: Hyperparameter, part: jax.Array) -> jax.Array:
    """From `low` at 0 to `high` at 1, exact at both ends."""
    return low * (1 - part) + high * part
