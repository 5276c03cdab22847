"""The schedules that warm up the weight and the decay of AdEMAMix's slow average."""

import math
from typing import Annotated

import jax
import jax.numpy as jnp

from .._core import Hyperparameter, Length, Range, Rate, Schedule, schedule
from ._progress import between, progress

OpenDecay = Annotated[Hyperparameter, Range(0, 1, open_low=True)]
"""A decay strictly between 0 and 1."""


@schedule(example={"end_value": 5.0, "transition_steps": 8})
def ademamix_alpha_schedule(end_value: Rate, transition_steps: Length) -> Schedule:
    """`min(t/T, 1) · end_value` at step `t = count + 1` (arXiv 2409.03137, section 3).

    The paper counts steps from 1, so the first step already uses the slow average a little.

    Args:
      end_value: from step `T` on, ≥ 0.
      transition_steps: `T` ≥ 1.

    >>> alpha = ademamix_alpha_schedule(8.0, 4)
    >>> [alpha(count).item() for count in (0, 1, 3, 9)]
    [2.0, 4.0, 8.0, 8.0]
    """
    return lambda count: end_value * _part(count, transition_steps)


@schedule(example={"init_value": 0.9, "end_value": 0.999, "transition_steps": 8})
def ademamix_b3_schedule(
    init_value: OpenDecay, end_value: OpenDecay, transition_steps: Length
) -> Schedule:
    r"""A decay whose half-life grows linearly (arXiv 2409.03137, section 3).

    .. math::
        f(b_3(t)) = (1 - t/T) f(b_{init}) + (t/T) f(b_{end}), \quad
        f(b) = \log(1/2) / \log b - 1

    at step `t = count + 1`, and `b_end` from `T` on. An average with the decay `b` has forgotten
    one half after `f(b) + 1` steps.

    Args:
      init_value: the decay at `t = 0`, in (0, 1); AdEMAMix uses its `b1`.
      end_value: the decay from step `T` on, in (0, 1).
      transition_steps: `T` ≥ 1.

    Half-lives of 1 and 5 steps at the ends, and of 3 in the middle:

    >>> b3 = ademamix_b3_schedule(0.5 ** (1 / 1), 0.5 ** (1 / 5), 4)
    >>> round(b3(1).item(), 6) == round(0.5 ** (1 / 3), 6)
    True
    """

    def value(count: jax.Array) -> jax.Array:
        # The half-life is -log 2 / log b: the constants of f cancel.
        part = _part(count, transition_steps)
        return jnp.exp(1 / between(1 / _log(init_value), 1 / _log(end_value), part))

    return value


def _part(count: jax.Array, length: int) -> jax.Array:
    """`min((count + 1) / length, 1)`, where `count + 1` does not overflow."""
    return progress(jnp.minimum(count, length - 1) + 1, 0, length)


def _log(decay: Hyperparameter) -> Hyperparameter:
    """The logarithm, of a constant in double precision."""
    return math.log(decay) if isinstance(decay, float) else jnp.log(jnp.asarray(decay))
