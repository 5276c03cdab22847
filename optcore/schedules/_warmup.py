"""Warm-up: a rise in front of any schedule."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .._core import Count, Hyperparameter, Length, Schedule, schedule, zero_count
from ._compose import join_schedules
from ._cycles import Cycles, one_cycle
from ._decay import (
    Positive,
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    linear_schedule,
)
from ._progress import (
    between,
    check_ordered,
    concrete,
    geometric_between,
    progress,
    wave,
)

Rise = Literal["linear", "cosine", "exponential"]
Start = Literal["init", "nonzero"]


def _warmed() -> Schedule:
    return prepend_warmup(cosine_decay_schedule(1.0, 6), 3)


@schedule(example=_warmed)
def prepend_warmup(
    schedule: Schedule,
    warmup_steps: Count,
    init_value: Hyperparameter = 0.0,
    *,
    rise: Rise = "linear",
    start: Start = "init",
) -> Schedule:
    """Rise over `W` steps to the first value of a schedule, then follow the schedule.

    A warm-up takes short steps while the second moments of adaptive methods are estimates from few
    samples (Liu et al., arXiv 1908.03265); for large batches see Goyal et al., arXiv 1706.02677.

    Args:
      schedule: the schedule that follows; its count starts when the warm-up is over.
      warmup_steps: `W` ≥ 0; 0 means no warm-up.
      init_value: the value where the rise starts; positive if the rise is exponential.
      rise: a straight line, half a cosine wave, or growth by equal factors.
      start: `"init"` has `init_value` at 0 and the peak at `W`, with the fraction `t/W` of the rise
        done at `t`; `"nonzero"` has the fraction `(t + 1)/W` done, so no step has the rate 0.

    Raises:
      ValueError: the rise is exponential, and one of its ends is not positive.

    >>> warm = prepend_warmup(constant_schedule(1.0), 4)
    >>> eager = prepend_warmup(constant_schedule(1.0), 4, start="nonzero")
    >>> [warm(t).item() for t in range(5)], [eager(t).item() for t in range(4)]
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.25, 0.5, 0.75, 1.0])
    """

    def peak() -> jax.Array:
        return jnp.asarray(schedule(zero_count()), jnp.float32)

    known = concrete(schedule, 0) if rise == "exponential" else None
    _check_rise("prepend_warmup", rise, warmup_steps, init_value, known)
    return _warm(schedule, peak, warmup_steps, init_value, rise, start)


def _check_rise(
    owner: str, rise: Rise, warmup_steps: int, init_value: Hyperparameter, peak: Hyperparameter
) -> None:
    if rise != "exponential" or warmup_steps == 0:
        return
    for name, value in (("init_value", init_value), ("the peak", peak)):
        if isinstance(value, float) and value <= 0:
            raise ValueError(
                f"{owner}: an exponential rise multiplies by equal factors: {name} must be "
                f"positive, got {value}"
            )


def _warm(
    rest: Schedule,
    peak: Callable[[], Any],
    warmup_steps: int,
    init_value: Hyperparameter,
    rise: Rise,
    start: Start,
) -> Schedule:
    if warmup_steps == 0:
        return rest
    ahead = 1 if start == "nonzero" else 0

    def rising(count: jax.Array) -> jax.Array:
        part = progress(count, -ahead, warmup_steps)
        if rise == "exponential":
            return geometric_between(init_value, peak(), part)
        return between(init_value, peak(), wave(part) if rise == "cosine" else part)

    return join_schedules([rising, rest], [warmup_steps])


@schedule(example={"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 3})
def warmup_constant_schedule(
    init_value: Hyperparameter,
    peak_value: Hyperparameter,
    warmup_steps: Count,
    *,
    rise: Rise = "linear",
    start: Start = "init",
) -> Schedule:
    """A rise over `warmup_steps`, then a constant `peak_value`.

    Args:
      init_value: at 0.
      peak_value: from `warmup_steps` on.
      warmup_steps: ≥ 0; 0 means no warm-up.
      rise: see `prepend_warmup`.
      start: see `prepend_warmup`.

    >>> tx = warmup_constant_schedule(0.0, 1.0, warmup_steps=2)
    >>> [tx(t).item() for t in range(4)]
    [0.0, 0.5, 1.0, 1.0]
    """
    rest = constant_schedule(peak_value)
    _check_rise("warmup_constant_schedule", rise, warmup_steps, init_value, peak_value)
    return _warm(rest, lambda: peak_value, warmup_steps, init_value, rise, start)


@schedule(example={"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 3, "decay_steps": 9})
def warmup_cosine_decay_schedule(
    init_value: Hyperparameter,
    peak_value: Hyperparameter,
    warmup_steps: Count,
    decay_steps: Length,
    end_value: Hyperparameter = 0.0,
    exponent: Positive = 1.0,
    *,
    rise: Rise = "linear",
    start: Start = "init",
) -> Schedule:
    """A rise over `warmup_steps`, then cosine decay until `decay_steps`.

    Args:
      init_value: at 0.
      peak_value: at `warmup_steps`.
      warmup_steps: ≥ 0; 0 means no warm-up.
      decay_steps: the whole length, warm-up included; greater than `warmup_steps`.
      end_value: from `decay_steps` on.
      exponent: of the cosine, see `cosine_decay_schedule`.
      rise: see `prepend_warmup`.
      start: see `prepend_warmup`.

    Raises:
      ValueError: `decay_steps` does not exceed `warmup_steps`.

    >>> tx = warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=2, decay_steps=6)
    >>> [round(tx(t).item(), 4) for t in range(7)]
    [0.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0]
    """
    _check_whole_length("warmup_cosine_decay_schedule", decay_steps, warmup_steps)
    falling = cosine_decay_schedule(1.0, decay_steps - warmup_steps, exponent=exponent)

    decay = Cycles(
        lambda count: between(end_value, peak_value, falling(count)),
        one_cycle(decay_steps - warmup_steps),
    )
    _check_rise("warmup_cosine_decay_schedule", rise, warmup_steps, init_value, peak_value)
    return _warm(decay, lambda: peak_value, warmup_steps, init_value, rise, start)


@schedule(example={"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 3, "decay_steps": 9})
def warmup_linear_decay_schedule(
    init_value: Hyperparameter,
    peak_value: Hyperparameter,
    warmup_steps: Count,
    decay_steps: Length,
    end_value: Hyperparameter = 0.0,
    *,
    rise: Rise = "linear",
    start: Start = "init",
) -> Schedule:
    """A rise over `warmup_steps`, then a straight line down until `decay_steps`.

    Args:
      init_value: at 0.
      peak_value: at `warmup_steps`.
      warmup_steps: ≥ 0; 0 means no warm-up.
      decay_steps: the whole length, warm-up included; greater than `warmup_steps`.
      end_value: from `decay_steps` on.
      rise: see `prepend_warmup`.
      start: see `prepend_warmup`.

    Raises:
      ValueError: `decay_steps` does not exceed `warmup_steps`, or `end_value` exceeds
        `peak_value`.

    >>> tx = warmup_linear_decay_schedule(0.0, 1.0, warmup_steps=2, decay_steps=6)
    >>> [tx(t).item() for t in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    _check_whole_length("warmup_linear_decay_schedule", decay_steps, warmup_steps)
    check_ordered("warmup_linear_decay_schedule", "end_value", end_value, "peak_value", peak_value)
    rest = linear_schedule(peak_value, end_value, decay_steps - warmup_steps)
    _check_rise("warmup_linear_decay_schedule", rise, warmup_steps, init_value, peak_value)
    return _warm(rest, lambda: peak_value, warmup_steps, init_value, rise, start)


@schedule(
    example={
        "init_value": 0.0,
        "peak_value": 1.0,
        "warmup_steps": 3,
        "transition_steps": 4,
        "decay_rate": 0.5,
    }
)
def warmup_exponential_decay_schedule(
    init_value: Hyperparameter,
    peak_value: Hyperparameter,
    warmup_steps: Count,
    transition_steps: Length,
    decay_rate: Positive,
    transition_begin: Count = 0,
    staircase: bool = False,
    end_value: Hyperparameter | None = None,
    *,
    rise: Rise = "linear",
    start: Start = "init",
) -> Schedule:
    """A rise over `warmup_steps`, then `exponential_decay` from `peak_value`.

    Args:
      init_value: at 0.
      peak_value: at `warmup_steps`.
      warmup_steps: ≥ 0; 0 means no warm-up.
      transition_steps: see `exponential_decay`, like all that follow up to `end_value`.
      decay_rate: > 0.
      transition_begin: steps after the warm-up in which the peak is held.
      staircase: constant over `transition_steps`.
      end_value: a bound of the decayed value.
      rise: see `prepend_warmup`.
      start: see `prepend_warmup`.

    >>> tx = warmup_exponential_decay_schedule(0.0, 1.0, 2, transition_steps=1, decay_rate=0.5)
    >>> [round(tx(t).item(), 4) for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """
    rest = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    _check_rise("warmup_exponential_decay_schedule", rise, warmup_steps, init_value, peak_value)
    return _warm(rest, lambda: peak_value, warmup_steps, init_value, rise, start)


def _check_whole_length(owner: str, decay_steps: int, warmup_steps: int) -> None:
    if decay_steps <= warmup_steps:
        raise ValueError(
            f"{owner}: decay_steps is the whole length and must exceed "
            f"warmup_steps={warmup_steps}, got {decay_steps}"
        )
