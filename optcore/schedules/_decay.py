"""Schedules that move from one value to another: constant, polynomial, exponential, cosine."""

from typing import Annotated

import jax
import jax.numpy as jnp

from .._core import Count, Hyperparameter, Length, Range, Rate, Schedule, schedule
from ._cycles import Cycles, one_cycle
from ._progress import between, geometric, periods, raised, remaining, wave

Positive = Annotated[Hyperparameter, Range(0, open_low=True)]
"""A positive exponent or factor."""


@schedule(example={"value": 0.1})
def constant_schedule(value: Hyperparameter) -> Schedule:
    """`value` at every count.

    >>> constant_schedule(0.5)(7).item()
    0.5
    """
    return lambda count: jnp.full(count.shape, value, jnp.float32)


@schedule(example={"init_value": 1.0, "end_value": 0.1, "power": 2.0, "transition_steps": 8})
def polynomial_schedule(
    init_value: Hyperparameter,
    end_value: Hyperparameter,
    power: Positive,
    transition_steps: Length,
    transition_begin: Count = 0,
) -> Schedule:
    """`end + (init - end) · (1 - t/T)^power`.

    `t` are the steps since `transition_begin`, clipped to [0, T].

    Args:
      init_value: before and at `transition_begin`.
      end_value: from `transition_begin + transition_steps` on.
      power: > 0; 1 is linear.
      transition_steps: `T` ≥ 1.
      transition_begin: ≥ 0.

    >>> tx = polynomial_schedule(1.0, 0.0, power=2.0, transition_steps=4)
    >>> [tx(t).item() for t in (0, 1, 2, 4, 9)]
    [1.0, 0.5625, 0.25, 0.0, 0.0]
    """

    def value(count: jax.Array) -> jax.Array:
        rest = remaining(count, transition_begin, transition_steps)
        return between(end_value, init_value, raised(rest, power))

    return value


@schedule(example={"init_value": 1.0, "end_value": 0.1, "transition_steps": 8})
def linear_schedule(
    init_value: Hyperparameter,
    end_value: Hyperparameter,
    transition_steps: Length,
    transition_begin: Count = 0,
) -> Schedule:
    """From `init_value` to `end_value` in a straight line; see `polynomial_schedule`.

    >>> warmup = linear_schedule(0.0, 1.0, 4)
    >>> [warmup(t).item() for t in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return polynomial_schedule(init_value, end_value, 1.0, transition_steps, transition_begin)


@schedule(example={"init_value": 1.0, "transition_steps": 4, "decay_rate": 0.5})
def exponential_decay(
    init_value: Hyperparameter,
    transition_steps: Length,
    decay_rate: Positive,
    transition_begin: Count = 0,
    staircase: bool = False,
    end_value: Hyperparameter | None = None,
) -> Schedule:
    """`init_value · decay_rate^(t/T)`, with `t` the steps since `transition_begin`.

    Args:
      init_value: before and at `transition_begin`.
      transition_steps: `T` ≥ 1: after as many steps the value is multiplied by `decay_rate`.
      decay_rate: > 0; above 1 the value grows.
      transition_begin: ≥ 0.
      staircase: round `t/T` down: constant over `T` steps.
      end_value: a lower bound of the value if `decay_rate < 1`, otherwise an upper bound.

    >>> halving = exponential_decay(1.0, 10, 0.5)
    >>> [halving(t).item() for t in (0, 10, 20)]
    [1.0, 0.5, 0.25]
    """

    def value(count: jax.Array) -> jax.Array:
        exponent = periods(count, transition_begin, transition_steps, whole=staircase)
        decayed = geometric(init_value, decay_rate, exponent)
        if end_value is None:
            return decayed
        shrinks = jnp.asarray(decay_rate) < 1
        return jnp.where(shrinks, jnp.maximum(decayed, end_value), jnp.minimum(decayed, end_value))

    return value


@schedule(example={"init_value": 1.0, "decay_steps": 8, "alpha": 0.1})
def cosine_decay_schedule(
    init_value: Hyperparameter,
    decay_steps: Length,
    alpha: Rate = 0.0,
    exponent: Positive = 1.0,
) -> Schedule:
    """`init · ((1 - alpha) · (½ + ½ cos(π t/T))^exponent + alpha)`, constant from `T` on.

    (Loshchilov and Hutter, arXiv 1608.03983, eq. 5, without restarts.)

    Args:
      init_value: at 0.
      decay_steps: `T` ≥ 1.
      alpha: the last value as a fraction of the first.
      exponent: > 0.

    >>> cosine = cosine_decay_schedule(1.0, 4)
    >>> [round(cosine(t).item(), 4) for t in (0, 2, 4, 9)]
    [1.0, 0.5, 0.0, 0.0]
    """

    def value(count: jax.Array) -> jax.Array:
        falling = wave(remaining(count, 0, decay_steps))
        return init_value * between(alpha, 1.0, raised(falling, exponent))

    return Cycles(value, one_cycle(decay_steps))
