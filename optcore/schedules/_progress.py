"""The fraction of an interval that a step count has covered, and curves between two values."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import DeclaredSchedule, Hyperparameter


def progress(count: jax.Array, begin: float, length: float) -> jax.Array:
    """`(count - begin) / length` clipped to [0, 1], as float32.

    The integers are clipped before they become floats: float32 counts exactly only to 2²⁴.
    """
    elapsed, _ = _elapsed(count, begin, length)
    return _part(elapsed.astype(jnp.float32) - (begin - math.floor(begin)), length)


def remaining(count: jax.Array, begin: float, length: float) -> jax.Array:
    """`1 - progress`, also exact where little remains."""
    elapsed, whole = _elapsed(count, begin, length)
    end = begin + length
    return _part((whole - elapsed).astype(jnp.float32) - (math.ceil(end) - end), length)


def _elapsed(count: jax.Array, begin: float, length: float) -> tuple[jax.Array, int]:
    """Steps since the last whole step before `begin`, and their largest number."""
    first = math.floor(begin)
    whole = math.ceil(begin + length) - first
    return jnp.minimum(jnp.maximum(count, first) - first, whole), whole


def _part(steps: jax.Array, length: float) -> jax.Array:
    return jnp.clip(steps / length, 0, 1)


def between(low: Hyperparameter, high: Hyperparameter, part: jax.Array) -> jax.Array:
    """From `low` at 0 to `high` at 1, exact at both ends."""
    return low * (1 - part) + high * part


def wave(part: jax.Array) -> jax.Array:
    """`½ - ½ cos(π part)` as `sin²(π/2 part)`, which keeps its digits near 0."""
    sine = jnp.sin(0.5 * jnp.pi * part)
    return sine * sine


def raised(base: jax.Array, exponent: Hyperparameter) -> jax.Array:
    """`base ** exponent` for a base in [0, 1], with finite derivatives also at 0."""
    if isinstance(exponent, float) and exponent == 1:
        return base
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1) ** exponent, 0)


def geometric(start: Hyperparameter, rate: Hyperparameter, exponent: jax.Array) -> jax.Array:
    """`start · rate ** exponent` for a positive rate.

    Growth may exceed float32; it stays at the largest finite number, with derivative 0.
    """
    finite = jnp.isfinite(start * _power(rate, exponent))
    largest = jnp.sign(start) * jnp.finfo(jnp.float32).max
    return jnp.where(finite, start * _power(rate, jnp.where(finite, exponent, 0)), largest)


def _power(rate: Hyperparameter, exponent: jax.Array) -> jax.Array:
    if not isinstance(rate, (int, float)):
        return rate**exponent
    single = float(np.float32(rate))
    if single == rate or not 0 < single < math.inf:
        return rate**exponent
    # float32(0.9999) is off by 3e-8, and the error would grow over many steps.
    return single**exponent * jnp.exp(exponent * math.log(rate / single))


def geometric_between(low: Hyperparameter, high: Hyperparameter, part: jax.Array) -> jax.Array:
    """From `low` at 0 to `high` at 1 by equal factors, exact at both ends.

    If one of the two is not positive, there is no such factor: the value is `low` until it jumps to
    `high`.
    """
    low, high = jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32)
    possible = (low > 0) & (high > 0)
    ratio = jnp.where(possible, jnp.where(possible, high, 1) / jnp.where(possible, low, 1), 1)
    return jnp.where(part >= 1, high, low * jnp.exp(part * jnp.log(ratio)))


def periods(count: jax.Array, begin: int, length: int, whole: bool) -> jax.Array:
    """The multiple of `length` that has passed since `begin`, float32; optionally rounded down."""
    t = jnp.maximum(count, begin) - begin
    passed = (t // length).astype(jnp.float32)
    return passed if whole else passed + (t % length).astype(jnp.float32) / length


def concrete(schedule: Callable[[Any], Any], count: int) -> float | None:
    """The value of a declared schedule whose numbers are known, for checks; otherwise `None`."""
    if not isinstance(schedule, DeclaredSchedule):
        return None
    leaves = jax.tree.leaves(schedule)
    if not all(isinstance(x, (int, float)) for x in leaves):
        return None
    with jax.ensure_compile_time_eval():
        return float(schedule(count))


def check_ordered(owner: str, low_name: str, low: object, high_name: str, high: object) -> None:
    """Refuse a concrete minimum above a concrete maximum."""
    numbers = isinstance(low, (int, float)) and isinstance(high, (int, float))
    if numbers and low > high:  # type: ignore[operator]
        raise ValueError(
            f"{owner}: {low_name} must not exceed {high_name}={high}, got {low}; "
            "were the two swapped?"
        )
