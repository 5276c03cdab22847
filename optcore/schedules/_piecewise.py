"""Schedules made of pieces: steps, joined schedules, warm-up in front of a decay."""

import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core import Count, Hyperparameter, Length, Rate, Schedule, schedule
from ._decay import Power, cosine_decay_schedule, linear_schedule
from ._progress import between


@schedule(example={"init_value": 1.0, "boundaries_and_scales": {3: 0.5, 6: 0.1}})
def piecewise_constant_schedule(
    init_value: Hyperparameter, boundaries_and_scales: Mapping[int, Rate] | None = None
) -> Schedule:
    """`init_value`, multiplied by each scale from its boundary on.

    Args:
      init_value: before the first boundary.
      boundaries_and_scales: from the step, ≥ 0, to the factor, ≥ 0.

    Raises:
      ValueError: a boundary is negative or no int.

    >>> steps = piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.1})
    >>> [round(steps(t).item(), 4) for t in (9, 10, 19, 20)]
    [1.0, 0.5, 0.5, 0.05]
    """
    scales = boundaries_and_scales or {}
    for boundary in scales:
        steps = isinstance(boundary, int) and not isinstance(boundary, bool)
        if not steps or not 0 <= boundary < 2**31:
            raise ValueError(
                "piecewise_constant_schedule: boundaries_and_scales must have step counts, "
                f"ints ≥ 0, as keys, got {boundary!r}"
            )

    def value(count: jax.Array) -> jax.Array:
        v = jnp.full(count.shape, init_value, jnp.float32)
        for boundary, factor in scales.items():
            v = jnp.where(count < boundary, v, v * factor)
        return v

    return value


Boundaries = Sequence[Count]


def _harmonic(count: ArrayLike) -> jax.Array:
    return 1 / (1 + jnp.asarray(count, jnp.float32))


def _joined() -> Schedule:
    return join_schedules([linear_schedule(0.0, 1.0, 3), _harmonic], [3])


@schedule(example=_joined)
def join_schedules(schedules: Sequence[Schedule], boundaries: Boundaries) -> Schedule:
    """One schedule after another, each starting to count at its boundary.

    Args:
      schedules: at least one; each gets the steps since its start.
      boundaries: the steps at which the second and later ones start, increasing.

    Raises:
      ValueError: the boundaries are not one fewer than the schedules, or do not increase.

    >>> tx = join_schedules([linear_schedule(0.0, 1.0, 2), linear_schedule(1.0, 0.0, 2)], [2])
    >>> [tx(t).item() for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if not schedules:
        raise ValueError("join_schedules: schedules must hold at least one, got none")
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            "join_schedules: boundaries must be one fewer than the schedules: expected "
            f"{max(len(schedules) - 1, 0)} for {len(schedules)} schedules, got {len(boundaries)}"
        )
    if any(a >= b for a, b in itertools.pairwise(boundaries)):
        raise ValueError(f"join_schedules: boundaries must increase, got {list(boundaries)}")

    def value(count: jax.Array) -> jax.Array:
        v = jnp.asarray(schedules[0](count), jnp.float32)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            later = jnp.asarray(following(jnp.maximum(count, boundary) - boundary), jnp.float32)
            v = jnp.where(count < boundary, v, later)
        return v

    return value


@schedule(example={"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 3, "decay_steps": 9})
def warmup_cosine_decay_schedule(
    init_value: Hyperparameter,
    peak_value: Hyperparameter,
    warmup_steps: Count,
    decay_steps: Length,
    end_value: Hyperparameter = 0.0,
    exponent: Power = 1.0,
) -> Schedule:
    """A linear rise over `warmup_steps`, then cosine decay until `decay_steps`.

    Args:
      init_value: at 0.
      peak_value: at `warmup_steps`.
      warmup_steps: ≥ 0; 0 means no warm-up: the peak at 0.
      decay_steps: the whole length, warm-up included; greater than `warmup_steps`.
      end_value: from `decay_steps` on.
      exponent: of the cosine, see `cosine_decay_schedule`.

    Raises:
      ValueError: `decay_steps` does not exceed `warmup_steps`.

    >>> tx = warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=2, decay_steps=6)
    >>> [round(tx(t).item(), 4) for t in range(7)]
    [0.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0]
    """
    if decay_steps <= warmup_steps:
        raise ValueError(
            "warmup_cosine_decay_schedule: decay_steps is the whole length and must exceed "
            f"warmup_steps={warmup_steps}, got {decay_steps}"
        )
    wave = cosine_decay_schedule(1.0, decay_steps - warmup_steps, exponent=exponent)

    def decay(count: jax.Array) -> jax.Array:
        return between(end_value, peak_value, wave(count))

    if warmup_steps == 0:
        return decay
    return join_schedules(
        [linear_schedule(init_value, peak_value, warmup_steps), decay], [warmup_steps]
    )
