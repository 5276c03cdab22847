"""Schedules of constant or interpolated pieces."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp

from .._core import Hyperparameter, Length, Rate, Schedule, schedule, whole
from ._decay import Positive, exponential_decay
from ._progress import between, progress, remaining, wave

Anneal = Literal["linear", "cosine"]


@schedule(example={"init_value": 1.0, "boundaries_and_scales": {3: 0.5, 6: 0.1}})
def piecewise_constant_schedule(
    init_value: Hyperparameter, boundaries_and_scales: Mapping[int, Rate] | None = None
) -> Schedule:
    """`init_value`, multiplied by each scale from its boundary on.

    Args:
      init_value: before the first boundary.
      boundaries_and_scales: from the step, ≥ 0, to the factor, ≥ 0.

    Raises:
      ValueError: a boundary is negative or not an int.

    >>> steps = piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.1})
    >>> [round(steps(t).item(), 4) for t in (9, 10, 19, 20)]
    [1.0, 0.5, 0.5, 0.05]
    """
    scales = _by_step("piecewise_constant_schedule", boundaries_and_scales or {})

    def value(count: jax.Array) -> jax.Array:
        v = jnp.full(count.shape, init_value, jnp.float32)
        for boundary, factor in scales.items():
            v = jnp.where(count < boundary, v, v * factor)
        return v

    return value


def _by_step(owner: str, scales: Mapping[int, Rate]) -> dict[int, Rate]:
    """The scales by int boundaries; whole floats are accepted as ints."""
    found = {}
    for boundary, scale in scales.items():
        steps = whole(boundary)
        if steps is None or not 0 <= steps < 2**31:
            raise ValueError(
                f"{owner}: boundaries_and_scales must have step counts, ints ≥ 0, as keys, "
                f"got {boundary!r}"
            )
        found[steps] = scale
    return found


@schedule(
    example={
        "interpolate_type": "linear",
        "init_value": 1.0,
        "boundaries_and_scales": {3: 0.5, 8: 0.1},
    }
)
def piecewise_interpolate_schedule(
    interpolate_type: Anneal,
    init_value: Hyperparameter,
    boundaries_and_scales: Mapping[int, Rate] | None = None,
) -> Schedule:
    """Interpolate between values; each boundary multiplies the previous value by its scale.

    Args:
      interpolate_type: the interpolation between two boundaries, a straight line or half a cosine
        wave.
      init_value: at 0.
      boundaries_and_scales: from the step, ≥ 0, to the factor, ≥ 0. The last value stays.

    Raises:
      ValueError: a boundary is negative or not an int.

    >>> roof = piecewise_interpolate_schedule("linear", 1.0, {2: 3.0, 6: 0.0})
    >>> [roof(t).item() for t in (0, 1, 2, 4, 6, 7)]
    [1.0, 2.0, 3.0, 1.5, 0.0, 0.0]
    """
    scales = _by_step("piecewise_interpolate_schedule", boundaries_and_scales or {})
    bounds = [0, *sorted(scales)]
    values = list(itertools.accumulate([init_value, *(scales[b] for b in bounds[1:])], _product))
    return lambda count: interpolated(interpolate_type, values, bounds, count)


def _product(value: Hyperparameter, factor: Hyperparameter) -> Hyperparameter:
    return value * factor


def interpolated(
    kind: Anneal, values: Sequence[Hyperparameter], bounds: Sequence[float], count: jax.Array
) -> jax.Array:
    """Interpolated values at bounds that need not be whole; the last value stays."""
    v = jnp.full(count.shape, values[0], jnp.float32)
    for (begin, end), (low, high) in zip(
        itertools.pairwise(bounds), itertools.pairwise(values), strict=True
    ):
        if begin < end:
            piece = _interpolate(kind, low, high, count, begin, end - begin)
            v = jnp.where(count <= math.floor(begin), v, piece)
        else:
            v = jnp.full(count.shape, high, jnp.float32)
    return v


def _interpolate(
    kind: Anneal,
    start: Hyperparameter,
    end: Hyperparameter,
    count: jax.Array,
    begin: float,
    length: float,
) -> jax.Array:
    """From `start` to `end` within `length` steps, accurate relative to the smaller of the two."""
    rise, fall = progress(count, begin, length), remaining(count, begin, length)
    if kind == "cosine":
        rise, fall = wave(rise), wave(fall)
    grows = jnp.abs(jnp.asarray(end)) > jnp.abs(jnp.asarray(start))
    return jnp.where(grows, between(start, end, rise), between(end, start, fall))


@schedule(example={"init_value": 1.0, "every": 3, "factor": 0.5})
def step_decay_schedule(
    init_value: Hyperparameter, every: Length, factor: Positive, steps_per_epoch: Length = 1
) -> Schedule:
    """`init_value`, multiplied by `factor` every `every` steps.

    Args:
      init_value: at 0.
      every: ≥ 1, in steps, or in epochs if `steps_per_epoch` is given.
      factor: > 0; above 1 the value grows.
      steps_per_epoch: ≥ 1.

    >>> halving = step_decay_schedule(1.0, every=30, factor=0.5, steps_per_epoch=100)
    >>> [halving(t).item() for t in (0, 2999, 3000, 6000)]
    [1.0, 1.0, 0.5, 0.25]
    """
    period = every * steps_per_epoch
    if period >= 2**31:
        raise ValueError(
            f"step_decay_schedule: a period must have fewer than 2**31 steps, got {period}"
        )
    return exponential_decay(init_value, period, factor, staircase=True)
