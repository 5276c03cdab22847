"""Skipping steps whose gradient is not finite, under optax's name."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Count,
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    choose,
    finite_part,
    step_is_sound,
    tally,
    transformation,
    zero_count,
    zero_unless,
)


class ApplyIfFiniteState(NamedTuple):
    """What was not finite, and the state of what is wrapped; optax's words.

    Attributes:
      notfinite_count: int32, steps in a row in which something was not finite.
      last_finite: whether the last step was finite.
      total_notfinite: int32, all steps in which something was not finite.
      inner_state: its state.
    """

    notfinite_count: jax.Array
    last_finite: jax.Array
    total_notfinite: jax.Array
    inner_state: State


@transformation(
    "wrapper",
    example={"max_consecutive_errors": 2},
    skips=True,
    per_example="results",
    all_reduces=1,
)
def apply_if_finite(
    inner: GradientTransformation, max_consecutive_errors: Count
) -> GradientTransformation:
    """Skip steps that are not finite; after some in a row, take what is finite of them.

    A skipped step is that of `guard`, which new code should use.

    Args:
      inner: what is wrapped.
      max_consecutive_errors: how many steps in a row are skipped. After that many optax accepts
        the gradient as it is, and the parameters and moments are NaN for ever. Here the elements
        that are not finite count as 0, and the rest is accepted, until a step is finite again:
        `guard(inner, "zero")`. `check` raises instead.

    Raises:
      ValueError: `inner` contains `dynamic_loss_scale`, which must stand outside.

    >>> import jax.numpy as jnp, optcore
    >>> tx = apply_if_finite(optcore.sgd(1.0), max_consecutive_errors=1)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     update, state = tx.update(jnp.array([jnp.nan, 1.0]), state)
    ...     print(update.tolist(), state.notfinite_count.item())
    [0.0, 0.0] 1
    [-0.0, -1.0] 2
    """
    inner = adapt(inner)

    def init(params: Params) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(
            notfinite_count=zero_count(),
            last_finite=jnp.ones((), bool),
            total_notfinite=zero_count(),
            inner_state=inner.init(params),
        )

    def update(
        updates: Updates, state: ApplyIfFiniteState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ApplyIfFiniteState]:
        give_up = state.notfinite_count >= max_consecutive_errors
        steps, new = inner.update(finite_part(updates), state.inner_state, params, **extra)
        finite, sound = step_is_sound(updates, steps, new, state.inner_state)
        take, fine = (finite | give_up) & sound, finite & sound
        in_a_row, total = tally(fine, state.notfinite_count, state.total_notfinite)
        new = choose(take, new, state.inner_state)
        return zero_unless(take, steps), ApplyIfFiniteState(in_a_row, fine, total, new)

    return GradientTransformation(init, update)
