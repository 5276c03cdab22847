"""Keep non-finite numbers out of the parameters and the state."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax

from .._core import (
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


class GuardState(NamedTuple):
    """The count of skipped steps, and the state of `inner`.

    Attributes:
      skipped: int32, steps in a row in which a number was not finite.
      total_notfinite: int32, all such steps.
      inner: the state of `inner` after the last step taken.
    """

    skipped: jax.Array
    total_notfinite: jax.Array
    inner: State


def _skips(arguments: Mapping[str, Any]) -> bool:
    return arguments["on_nonfinite"] == "skip"


@transformation(
    "wrapper", example={}, skips=True, skips_nonfinite=_skips, per_example="results", all_reduces=1
)
def guard(
    inner: GradientTransformation, on_nonfinite: Literal["skip", "zero"] = "skip"
) -> GradientTransformation:
    """Keep NaN and infinities out of the parameters and out of the state of `inner`.

    A step is skipped if the gradient or the update of `inner` is not finite, or if a finite part of
    the state becomes non-finite: the square of a gradient of 1e30 is infinite in float32. A skipped
    step gives exact zeros and changes nothing in the state of `inner`: counts, schedules, keys and
    moments are those of a run without that step.

    With `"zero"`, the elements of the gradient that are not finite are replaced by 0 (for a complex
    number, both parts), all others pass, and the step counts. If the update or the state is still
    not finite, the step is skipped, which protects the state.

    The guard does not call the host. `check` raises on the host, or under `checkify`, after too
    many skipped steps in a row. Under `vmap` each member decides for itself; inside `shard_map` all
    devices decide alike, which costs one more collective.

    Args:
      inner: the transformations to guard; include everything that has a state. Transformations in
        front of the guard in a chain are not guarded.
      on_nonfinite: how to handle a gradient that is not finite.

    Raises:
      ValueError: `inner` contains `dynamic_loss_scale`, which must be outside.

    The step with the infinite gradient is skipped:

    >>> import jax.numpy as jnp, optcore
    >>> tx = guard(optcore.sgd(1.0, momentum=0.5))
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (1.0, jnp.inf, 1.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(update.item(), state.skipped.item(), state.total_notfinite.item())
    -1.0 0 0
    0.0 1 1
    -1.5 0 1
    """
    inner = adapt(inner)

    def init(params: Params) -> GuardState:
        return GuardState(zero_count(), zero_count(), inner.init(params))

    def update(
        updates: Updates, state: GuardState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, GuardState]:
        # Also where the step is discarded: the derivative of the unselected branch must be finite.
        steps, new = inner.update(finite_part(updates), state.inner, params, **extra)
        finite, sound = step_is_sound(updates, steps, new, state.inner)
        take = sound if on_nonfinite == "zero" else finite & sound
        skipped, total = tally(finite & sound, state.skipped, state.total_notfinite)
        state = GuardState(skipped, total, choose(take, new, state.inner))
        return zero_unless(take, steps), state

    return GradientTransformation(init, update)
