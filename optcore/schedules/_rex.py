"""REX: reflected exponential decay."""

import jax

from .._core import Hyperparameter, Length, Schedule, schedule
from ._progress import between, check_ordered, remaining


@schedule(example={"init_value": 1.0, "transition_steps": 8, "end_value": 0.1})
def rex_schedule(
    init_value: Hyperparameter, transition_steps: Length, end_value: Hyperparameter = 0.0
) -> Schedule:
    r"""Reflected exponential decay (Chen et al., arXiv 2107.04197): slow at first, then steep.

    .. math::
        \eta_t = \eta_T + (\eta_0 - \eta_T)
        \frac{1 - t/T}{\tfrac12 + \tfrac12 (1 - t/T)}

    Args:
      init_value: at 0, not below `end_value`.
      transition_steps: `T` ≥ 1.
      end_value: from `T` on.

    Raises:
      ValueError: `end_value` exceeds `init_value`.

    >>> rex = rex_schedule(1.0, 4)
    >>> [round(rex(t).item(), 4) for t in range(5)]
    [1.0, 0.8571, 0.6667, 0.4, 0.0]
    """
    check_ordered("rex_schedule", "end_value", end_value, "init_value", init_value)

    def value(count: jax.Array) -> jax.Array:
        rest = remaining(count, 0, transition_steps)
        return between(end_value, init_value, rest / (0.5 + 0.5 * rest))

    return value
