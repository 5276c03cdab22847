"""Warm-up, stable, decay: a constant rate that is cooled down at the end of the run."""

from typing import Literal

import jax
import jax.numpy as jnp

from .._core import Count, Hyperparameter, Length, Schedule, schedule
from ._cycles import Cycles, ends_of
from ._decay import Positive, linear_schedule
from ._progress import (
    between,
    check_ordered,
    concrete,
    geometric_between,
    progress,
    raised,
    remaining,
    wave,
)
from ._warmup import Rise, Start, warmup_constant_schedule

Shape = Literal["linear", "cosine", "1-sqrt", "1-square", "exponential", "power"]


def _cooled() -> Schedule:
    return append_cooldown(linear_schedule(1.0, 0.5, 8), 4, 6, shape="1-sqrt")


@schedule(example=_cooled)
def append_cooldown(
    schedule: Schedule,
    begin: Count,
    decay_steps: Length,
    end_value: Hyperparameter = 0.0,
    shape: Shape = "linear",
    power: Positive | None = None,
) -> Schedule:
    """Follow a schedule until `begin`, then go down from its value there to `end_value`.

    With `x` the fraction of the cool-down that has passed, the height above `end_value` falls as
    `1 - x` (`"linear"`), `½ + ½ cos(π x)` (`"cosine"`), `1 - √x` (`"1-sqrt"`; Hägele et al., arXiv
    2405.18392), `1 - x²` (`"1-square"`) or `(1 - x)^power` (`"power"`); `"exponential"` multiplies
    by equal factors, and needs an `end_value` above 0.

    To extend a run, branch it: take a checkpoint from before `begin`, and continue with the same
    schedule and a later `begin`.

    Args:
      schedule: the values before `begin`.
      begin: the step at which the cool-down starts, ≥ 0.
      decay_steps: its length, ≥ 1.
      end_value: the value after the cool-down, not above the value at `begin`; it is reached
        exactly and kept.
      shape: of the cool-down.
      power: > 0; needed by the shape `"power"`, and by no other.

    Raises:
      ValueError: `power` is missing or not used; an exponential cool-down ends at 0 or below;
        `end_value` exceeds the value at `begin`.

    >>> from optcore import constant_schedule
    >>> stable = constant_schedule(1.0)
    >>> short, long = (append_cooldown(stable, begin, 2) for begin in (4, 8))
    >>> [short(t).item() for t in (0, 4, 5, 6, 9)], [long(t).item() for t in (0, 4, 8, 9, 10)]
    ([1.0, 1.0, 0.5, 0.0, 0.0], [1.0, 1.0, 1.0, 0.5, 0.0])
    """
    return _cooled_down(
        "append_cooldown",
        schedule,
        concrete(schedule, begin),
        begin,
        decay_steps,
        end_value,
        shape,
        power,
    )


def _cooled_down(
    owner: str,
    schedule: Schedule,
    top: Hyperparameter | None,
    begin: int,
    decay_steps: int,
    end_value: Hyperparameter,
    shape: Shape,
    power: Hyperparameter | None,
) -> Schedule:
    if power is None and shape == "power":
        raise ValueError(f"{owner}: the shape 'power' needs power, a positive number, got none")
    if power is not None and shape != "power":
        raise ValueError(
            f"{owner}: power belongs to the shape 'power', got power={power} with the shape "
            f"{shape!r}"
        )
    check_ordered(owner, "end_value", end_value, "the value at the start of the cool-down", top)
    if shape == "exponential" and isinstance(end_value, float) and end_value <= 0:
        raise ValueError(
            f"{owner}: an exponential cool-down multiplies by equal factors: end_value must be "
            f"positive, got {end_value}"
        )

    def height(count: jax.Array) -> jax.Array:
        x, rest = progress(count, begin, decay_steps), remaining(count, begin, decay_steps)
        if shape == "cosine":
            return wave(rest)
        if shape == "1-sqrt":
            return rest / (1 + raised(x, 0.5))
        if shape == "1-square":
            return rest * (1 + x)
        return rest if power is None else raised(rest, power)

    def value(count: jax.Array) -> jax.Array:
        before = jnp.asarray(schedule(jnp.minimum(count, begin)), jnp.float32)
        start = jnp.asarray(schedule(jnp.full_like(count, begin)), jnp.float32)
        if shape == "exponential":
            cooled = geometric_between(start, end_value, progress(count, begin, decay_steps))
        else:
            cooled = between(end_value, start, height(count))
        return jnp.where(count < begin, before, cooled)

    return Cycles(value, lambda total: ends_of(schedule, min(total, begin)))


@schedule(
    example={"peak_value": 1.0, "warmup_steps": 3, "stable_steps": 4, "decay_steps": 5},
)
def warmup_stable_decay_schedule(
    peak_value: Hyperparameter,
    warmup_steps: Count,
    stable_steps: Count,
    decay_steps: Length,
    end_value: Hyperparameter = 0.0,
    init_value: Hyperparameter = 0.0,
    shape: Shape = "linear",
    power: Positive | None = None,
    *,
    rise: Rise = "linear",
    start: Start = "init",
) -> Schedule:
    """Warm-up, a constant rate, and a cool-down (Hu et al., arXiv 2404.06395): a trapezoid.

    Args:
      peak_value: of the stable part.
      warmup_steps: of the rise, ≥ 0; 0 means none.
      stable_steps: at the peak, ≥ 0. A longer run with the same start only has more stable steps.
      decay_steps: of the cool-down, ≥ 1.
      end_value: after the cool-down, not above `peak_value`; every shape ends there.
      init_value: at 0.
      shape: of the cool-down, see `append_cooldown`.
      power: of the shape `"power"`.
      rise: see `prepend_warmup`.
      start: see `prepend_warmup`.

    Raises:
      ValueError: `end_value` exceeds `peak_value`; see also `append_cooldown`.

    >>> wsd = warmup_stable_decay_schedule(1.0, 2, 4, 4, shape="1-sqrt")
    >>> [wsd(t).item() for t in (0, 1, 2, 6, 7, 10)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    owner = "warmup_stable_decay_schedule"
    begin = warmup_steps + stable_steps
    if begin + decay_steps >= 2**31:
        raise ValueError(
            f"{owner}: the run must have fewer than 2**31 steps, got {begin + decay_steps}"
        )
    check_ordered(owner, "end_value", end_value, "peak_value", peak_value)
    stable = warmup_constant_schedule(init_value, peak_value, warmup_steps, rise=rise, start=start)
    return _cooled_down(owner, stable, peak_value, begin, decay_steps, end_value, shape, power)


@schedule(example={"peak_value": 1.0, "explore_steps": 4, "decay_steps": 5})
def knee_schedule(
    peak_value: Hyperparameter,
    explore_steps: Length,
    decay_steps: Length,
    warmup_steps: Count = 0,
) -> Schedule:
    """Explore at a high rate, then decay linearly to 0 (Iyer et al., arXiv 2003.03977).

    Args:
      peak_value: while exploring.
      explore_steps: ≥ 1.
      decay_steps: of the line, ≥ 1.
      warmup_steps: of a linear rise in front, ≥ 0.

    >>> knee = knee_schedule(1.0, explore_steps=4, decay_steps=2)
    >>> [knee(t).item() for t in range(7)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]
    """
    return warmup_stable_decay_schedule(peak_value, warmup_steps, explore_steps, decay_steps)
