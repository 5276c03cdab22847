"""Warm restarts: cosine cycles of growing length."""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from .._core import (
    Count,
    DeclaredSchedule,
    Hyperparameter,
    Length,
    Range,
    Schedule,
    StaticFloat,
    schedule,
)
from ._compose import join_schedules
from ._cycles import Cycles, Ends, even_cycles
from ._decay import Positive
from ._progress import between, check_ordered, geometric, wave
from ._warmup import warmup_cosine_decay_schedule

LAST = 2**31 - 1


@schedule(example={"init_value": 1.0, "cycle_steps": 3, "cycle_multiplier": 1.5, "end_value": 0.1})
def cosine_restarts_schedule(
    init_value: Hyperparameter,
    cycle_steps: Length,
    cycle_multiplier: Annotated[StaticFloat, Range(1, 2**31)] = 1.0,
    end_value: Hyperparameter = 0.0,
    decay: Positive = 1.0,
    warmup_steps: Count = 0,
    steps_per_epoch: Length = 1,
) -> Schedule:
    r"""Cosine annealing with warm restarts: SGDR (Loshchilov and Hutter, arXiv 1608.03983, eq. 5).

    .. math::
        \eta = \eta_{min} + \tfrac12 (\eta_{max} - \eta_{min}) (1 + \cos(\pi T_{cur} / T_i))

    where `T_cur` is the number of steps since the last restart and `T_i` the length of cycle `i`,
    `cycle_steps · cycle_multiplier^i`, rounded to the nearest whole step (halves up). With a
    multiplier of 1 or 2 and whole epochs, nothing is rounded.

    Args:
      init_value: `η_max` of the first cycle, not below `end_value`.
      cycle_steps: length of the first cycle, ≥ 1; in epochs, if `steps_per_epoch` is given (the
        rate still changes at every step, so epochs are fractional).
      cycle_multiplier: 1, or at least 1.001; static.
      end_value: `η_min` of the first cycle.
      decay: > 0; both bounds are multiplied by it after each cycle.
      warmup_steps: steps of a linear rise from `η_min` at the start of each cycle, ≥ 0; the
        cosine takes the rest of the cycle.
      steps_per_epoch: ≥ 1.

    Raises:
      ValueError: `end_value` exceeds `init_value`; the warm-up is not shorter than the first cycle;
        the multiplier is between 1 and 1.001.

    >>> sgdr = cosine_restarts_schedule(1.0, 2, cycle_multiplier=2.0)
    >>> [round(sgdr(t).item(), 4) for t in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """
    owner = "cosine_restarts_schedule"
    check_ordered(owner, "end_value", end_value, "init_value", init_value)
    first = cycle_steps * steps_per_epoch
    if first > LAST:
        raise ValueError(f"{owner}: the first cycle must have fewer than 2**31 steps, got {first}")
    if warmup_steps >= first:
        raise ValueError(
            f"{owner}: warmup_steps must be fewer than the {first} steps of the first cycle, "
            f"got {warmup_steps}"
        )
    if 1 < cycle_multiplier < 1.001:
        raise ValueError(
            f"{owner}: cycle_multiplier must be 1 or at least 1.001, got {cycle_multiplier}"
        )
    locate, ends = _cycles(first, cycle_multiplier)

    def value(count: jax.Array) -> jax.Array:
        cycle, position, rest = locate(count)
        risen = position / max(warmup_steps, 1)
        falling = wave(jnp.minimum(rest / (position + rest - warmup_steps), 1))
        height = jnp.where(position < warmup_steps, risen, falling)
        return geometric(between(end_value, init_value, height), decay, cycle)

    return Cycles(value, ends)


def _cycles(first: int, multiplier: float) -> tuple[Any, Ends]:
    """Functions from a count to (cycle, steps into it, steps left), and to the ends of cycles."""
    if multiplier == 1:
        return lambda t: _floats(t // first, t % first, first - t % first), even_cycles(first)
    starts, lengths = _table(first, multiplier)

    def look_up(count: jax.Array) -> tuple[jax.Array, ...]:
        # A logarithm in float32 would put restarts a step early or late; the table is exact.
        table = jnp.asarray(starts, jnp.int32)
        number = jnp.searchsorted(table, count, side="right", method="scan_unrolled") - 1
        within = jnp.asarray([min(length, LAST) for length in lengths], jnp.int32)[number]
        beyond = jnp.asarray([max(length - LAST, 0) for length in lengths], jnp.float32)[number]
        since = count - table[number]
        cycle, position, rest = _floats(number, since, within - since)
        return cycle, position, rest + beyond

    return look_up, lambda total: tuple(s for s in starts[1:] if s <= total)


def _floats(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(x.astype(jnp.float32) for x in arrays)


@functools.lru_cache(maxsize=64)
def _table(first: int, multiplier: float) -> tuple[list[int], list[int]]:
    """Start and length of every cycle that begins at a count below 2³¹."""
    starts, lengths = [], []
    start, exact = 0, float(first)
    while start <= LAST:
        starts.append(start)
        lengths.append(math.floor(exact + 0.5))
        start += lengths[-1]
        exact *= multiplier
    return starts, lengths


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> DeclaredSchedule:
    """Warm restarts from a list: one `warmup_cosine_decay_schedule` after another.

    Args:
      cosine_kwargs: the arguments of each cycle; its `decay_steps` are its whole length. The
        last value stays.

    Returns:
      Joined schedules, a pytree of all their numbers.

    Raises:
      TypeError: `cosine_kwargs` is not a list of mappings.
      ValueError: there is no cycle.

    >>> cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": 3}
    >>> sgdr = sgdr_schedule([cycle, {**cycle, "peak_value": 0.5}])
    >>> [round(sgdr(t).item(), 4) for t in range(7)]
    [0.0, 1.0, 0.5, 0.0, 0.5, 0.25, 0.0]
    """
    listed = [] if isinstance(cosine_kwargs, Mapping) else list(cosine_kwargs)
    if isinstance(cosine_kwargs, Mapping) or not all(isinstance(x, Mapping) for x in listed):
        raise TypeError(
            "sgdr_schedule: cosine_kwargs must be a list of dicts, the arguments of each cycle, "
            f"got {cosine_kwargs!r}"
        )
    cycles: Any = [warmup_cosine_decay_schedule(**arguments) for arguments in listed]
    if not cycles:
        raise ValueError("sgdr_schedule: cosine_kwargs must hold at least one cycle, got none")
    ends = itertools.accumulate(cycle.arguments["decay_steps"] for cycle in cycles[:-1])
    return join_schedules(cycles, list(ends))
