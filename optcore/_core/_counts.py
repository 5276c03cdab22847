"""Checks of step counts and boundaries."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._numerics import whole
from ._paths import what_it_is


def check_boundaries(name: str, what: str, members: int, boundaries: Sequence[int]) -> None:
    """Boundaries must increase and be one fewer than the pieces that they separate."""
    if len(boundaries) != members - 1:
        raise ValueError(
            f"{name}: boundaries must be one fewer than the {what}: expected "
            f"{max(members - 1, 0)} for {members} {what}, got {len(boundaries)}"
        )
    if any(a >= b for a, b in itertools.pairwise(boundaries)):
        raise ValueError(f"{name}: boundaries must increase, got {list(boundaries)}")


def _are_whole(x: Any) -> bool:
    known = isinstance(x, (np.ndarray, jax.Array)) and not isinstance(x, jax.core.Tracer)
    if not known or not jnp.issubdtype(x.dtype, np.floating):
        return False
    numbers = np.asarray(x).astype(np.float64)
    return bool(np.all(np.abs(numbers) < 2.0**62) and np.all(numbers == np.floor(numbers)))


def check_count(name: str, count: Any) -> jax.Array:
    """A step count as int32: an integer or an array of integers, held within [0, 2³¹−1].

    Known whole floats count as integers, because `np.linspace` makes them.
    """
    number = None if isinstance(count, (np.ndarray, jax.Array)) else whole(count)
    if number is not None:
        if not -(2**31) <= number < 2**31:
            raise ValueError(f"{name}: the count must fit in int32, got {count}")
        return jnp.asarray(max(number, 0), jnp.int32)
    dtype = getattr(count, "dtype", None)
    if _are_whole(count):
        count = np.asarray(count).astype(np.int64)
        dtype = count.dtype
    elif dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{name}: the count must be an integer, got {what_it_is(count)}")
    last = min(np.iinfo(np.int32).max, np.iinfo(dtype).max)
    # NumPy arrays may be wider than any JAX dtype.
    xp = np if isinstance(count, np.ndarray) else jnp
    held = xp.minimum(xp.maximum(count, np.array(0, dtype)), np.array(last, dtype))
    return jnp.asarray(held).astype(jnp.int32)
