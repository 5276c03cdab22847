"""Schedules of schedules: joined, scaled, shifted, clamped, multiplied."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core import Hyperparameter, Length, Range, Schedule, check_boundaries, schedule
from ._cycles import Cycles, ends_of
from ._decay import linear_schedule
from ._progress import check_ordered

Boundaries = Sequence[Length]
Offset = Annotated[int, Range(-(2**31) + 1, 2**31)]


def harmonic(count: ArrayLike) -> jax.Array:
    """`1 / (1 + count)`, a plain function for examples."""
    return 1 / (1 + jnp.asarray(count, jnp.float32))


def _joined() -> Schedule:
    return join_schedules([linear_schedule(0.0, 1.0, 3), harmonic], [3])


@schedule(example=_joined)
def join_schedules(schedules: Sequence[Schedule], boundaries: Boundaries) -> Schedule:
    """One schedule after another, each counting from its boundary.

    Args:
      schedules: at least one; each gets the steps since its start.
      boundaries: the steps at which the second and later ones start, ≥ 1 and increasing.

    Raises:
      ValueError: the boundaries are not one fewer than the schedules, or do not increase.

    >>> tx = join_schedules([linear_schedule(0.0, 1.0, 2), linear_schedule(1.0, 0.0, 2)], [2])
    >>> [tx(t).item() for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if not schedules:
        raise ValueError("join_schedules: schedules must hold at least one, got none")
    check_boundaries("join_schedules", "schedules", len(schedules), boundaries)

    starts = [0, *boundaries]
    lasts = [boundary - 1 for boundary in boundaries]

    def value(count: jax.Array) -> jax.Array:
        v = jnp.zeros(count.shape, jnp.float32)
        for start, last, piece in itertools.zip_longest(starts, lasts, schedules):
            # Each piece sees only its own counts: a NaN that `where` hides would come back through
            # the derivative.
            own = jnp.maximum(count, start) if last is None else jnp.clip(count, start, last)
            v = jnp.where(count < start, v, jnp.asarray(piece(own - start), jnp.float32))
        return v

    def ends(total: int) -> tuple[int, ...] | None:
        found = None
        for start, stop, piece in itertools.zip_longest(starts, boundaries, schedules):
            limit = total if stop is None else min(stop, total)
            inner = ends_of(piece, max(limit - start, 0))
            if inner is not None:
                found = (*(found or ()), *(start + end for end in inner))
        return found

    return Cycles(value, ends)


def _scaled() -> Schedule:
    return scale_schedule(harmonic, 0.5)


@schedule(example=_scaled)
def scale_schedule(schedule: Schedule, factor: Hyperparameter) -> Schedule:
    """`factor · schedule(count)`.

    >>> [scale_schedule(linear_schedule(1.0, 0.0, 2), 3.0)(t).item() for t in range(3)]
    [3.0, 1.5, 0.0]
    """
    return Cycles(
        lambda count: factor * jnp.asarray(schedule(count), jnp.float32),
        lambda total: ends_of(schedule, total),
    )


def _multiplied() -> Schedule:
    return multiply_schedules(harmonic, linear_schedule(1.0, 0.5, 4))


@schedule(example=_multiplied)
def multiply_schedules(*schedules: Schedule) -> Schedule:
    """The product of the values of one or more schedules.

    Raises:
      ValueError: there is no schedule.

    >>> halving = linear_schedule(1.0, 0.5, 1)
    >>> multiply_schedules(halving, halving)(1).item()
    0.25
    """
    if not schedules:
        raise ValueError("multiply_schedules: expected at least one schedule, got none")

    def value(count: jax.Array) -> jax.Array:
        values = [jnp.asarray(factor(count), jnp.float32) for factor in schedules]
        return functools.reduce(jnp.multiply, values)

    def ends(total: int) -> tuple[int, ...] | None:
        found = [inner for factor in schedules if (inner := ends_of(factor, total)) is not None]
        return tuple(sorted({end for inner in found for end in inner})) if found else None

    return Cycles(value, ends)


def _shifted() -> Schedule:
    return shift_schedule(linear_schedule(1.0, 0.1, 8), 3)


@schedule(example=_shifted)
def shift_schedule(schedule: Schedule, offset: Offset) -> Schedule:
    """`schedule(count + offset)`: resume at a step, or start later.

    Args:
      schedule: a function of the step count.
      offset: `n > 0` starts `n` steps into the schedule; `-n` holds its first value for `n`
        steps and then starts. The count stays within [0, 2³¹ - 1].

    >>> resumed = shift_schedule(linear_schedule(1.0, 0.0, 4), 2)
    >>> delayed = shift_schedule(linear_schedule(1.0, 0.0, 4), -2)
    >>> [resumed(t).item() for t in range(3)], [delayed(t).item() for t in range(4)]
    ([0.5, 0.25, 0.0], [1.0, 1.0, 1.0, 0.75])
    """

    def value(count: jax.Array) -> jax.Array:
        if offset < 0:
            return schedule(jnp.maximum(count, -offset) + offset)
        last = jnp.iinfo(count.dtype).max
        return schedule(jnp.minimum(count, last - offset) + offset)

    def ends(total: int) -> tuple[int, ...] | None:
        inner = ends_of(schedule, max(total + offset, 0))
        return inner and tuple(end - offset for end in inner if end > offset)

    return Cycles(value, ends)


def _clamped() -> Schedule:
    return clamp_schedule(harmonic, 0.2, 0.8)


@schedule(example=_clamped)
def clamp_schedule(
    schedule: Schedule,
    minimum: Hyperparameter | None = None,
    maximum: Hyperparameter | None = None,
) -> Schedule:
    """`schedule(count)`, but at least `minimum` and at most `maximum`.

    Args:
      schedule: a function of the step count.
      minimum: the smallest value, if any.
      maximum: the largest value, if any; not below `minimum`.

    Raises:
      ValueError: `minimum` exceeds `maximum`, both being numbers.

    >>> clamped = clamp_schedule(linear_schedule(1.0, 0.0, 4), 0.2, 0.8)
    >>> [round(clamped(t).item(), 2) for t in range(5)]
    [0.8, 0.75, 0.5, 0.25, 0.2]
    """
    check_ordered("clamp_schedule", "minimum", minimum, "maximum", maximum)
    low, high = (-math.inf if minimum is None else minimum), maximum

    def value(count: jax.Array) -> jax.Array:
        v = jnp.maximum(jnp.asarray(schedule(count), jnp.float32), low)
        return v if high is None else jnp.minimum(v, high)

    return Cycles(value, lambda total: ends_of(schedule, total))
