"""The counts at which the cycles of a schedule end."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._core import DeclaredSchedule, whole

Ends = Callable[[int], tuple[int, ...] | None]
"""The counts up to a total at which a cycle ends; `None` if there are no cycles."""


class Cycles:
    """The values of a schedule, and the ends of its cycles."""

    def __init__(self, value: Callable[[jax.Array], jax.Array], ends: Ends):
        self.value, self.ends = value, ends

    def __call__(self, count: jax.Array) -> jax.Array:
        return self.value(count)


def one_cycle(length: int) -> Ends:
    """A single cycle of this length."""
    return lambda total: (length,) if length <= total else ()


def even_cycles(length: int) -> Ends:
    """Cycles of equal length, without end."""
    return lambda total: tuple(range(length, total + 1, length))


def ends_of(schedule: Any, total: int) -> tuple[int, ...] | None:
    """The ends of a schedule's cycles up to `total`; `None` if it has no cycles."""
    while isinstance(schedule, DeclaredSchedule):
        declaration = schedule.declaration
        schedule = declaration.resolved(dict.fromkeys(declaration.schedules(), jnp.ones(())))
    return schedule.ends(total) if isinstance(schedule, Cycles) else None


def cycle_ends(schedule: Any, total_steps: int) -> tuple[int, ...]:
    """The numbers of updates after which a cycle is complete, up to `total_steps`.

    At such a count a new cycle starts, or the last one ends. The parameters before that update are
    the result of the cycle, which snapshot ensembles keep.

    Args:
      schedule: made by `cosine_restarts_schedule`, `sgdr_schedule`, `cyclic_schedule`,
        `cyclic_momentum_schedule`, a cosine decay (one cycle), or composed of these.
      total_steps: ≥ 0, how far to look.

    Returns:
      The counts, increasing.

    Raises:
      TypeError: the schedule has no cycles, or `total_steps` is not an int.
      ValueError: `total_steps` is negative.

    >>> from optcore import cosine_restarts_schedule, prepend_warmup
    >>> restarts = cosine_restarts_schedule(0.1, 10, cycle_multiplier=2.0)
    >>> cycle_ends(restarts, 100), cycle_ends(prepend_warmup(restarts, 5), 100)
    ((10, 30, 70), (15, 35, 75))
    """
    steps = whole(total_steps)
    if steps is None:
        raise TypeError(f"cycle_ends: total_steps must be an int, got {total_steps!r}")
    if steps < 0:
        raise ValueError(f"cycle_ends: total_steps must be at least 0, got {total_steps}")
    ends = ends_of(schedule, steps)
    if ends is None:
        raise TypeError(
            f"cycle_ends: schedule must have cycles, got {schedule!r}; such schedules come from "
            "cosine_restarts_schedule, sgdr_schedule, cyclic_schedule, and cosine decays"
        )
    return ends
