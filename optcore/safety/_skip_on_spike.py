"""Skipping steps in which the loss or the gradient norm spikes."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Bound,
    GradientTransformation,
    Length,
    Params,
    Range,
    State,
    Updates,
    adapt,
    agreeing_over,
    choose,
    global_norm,
    increment,
    norm_along,
    real_scalar,
    transformation,
    zero_count,
    zero_unless,
)


class SkipOnSpikeState(NamedTuple):
    """The window of recent steps, and the state of `inner`.

    Attributes:
      count: int32, steps taken since the window was last emptied.
      window: float32, `(window_steps, watched)`; the last rows, as many as `count`, hold the
        gradient norms and values of the last steps taken, the newest at the end.
      skipped: int32, steps skipped in a row; 0 after a step that was taken.
      inner: its state, as the last step taken left it.
    """

    count: jax.Array  # type: ignore[assignment]
    window: jax.Array
    skipped: jax.Array
    inner: State


def _watched(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    return () if arguments["watch"] == "gradient" else ("value",)


@transformation("wrapper", example={"window_steps": 4}, uses=_watched, skips=True, all_reduces=1)
def skip_on_spike(
    inner: GradientTransformation,
    window_steps: Annotated[int, Range(2, 2**31)] = 128,
    sigma_factor: Bound = 6.0,
    *,
    watch: Literal["gradient", "value", "both"] = "gradient",
    max_consecutive_skips: Length | None = 4,
) -> GradientTransformation:
    r"""Skip a step whose gradient norm or loss is far above those of recent steps.

    A step is a spike if, for one of the watched numbers `x`,

    .. math::
        x > \bar x + k \sigma

    with `k = sigma_factor`, and the mean and the standard deviation (with Bessel's correction)
    of the last `window_steps` steps that were taken. This applies once the window is at least half
    full and holds at least two steps. A number that is not finite is always a spike. A skipped step
    gives exact zeros and changes nothing in the state of `inner`, its counts included (skip-step of
    OLMo 2, arXiv 2501.00656, and of MaxText).

    Their windows include spikes. This hides a second spike, but adapts to a lasting change of
    level, with the defaults after four skips. Here the window excludes spikes, and restarts with a
    finite spike that follows `max_consecutive_skips` skips: that step is taken. OLMo also skips
    sudden falls.

    Clip inside this wrapper, not in front of it: `skip_on_spike(chain(clip_by_global_norm(1.0),
    adam(1e-3)))`. A clipped norm does not show spikes.

    Args:
      inner: the transformation to guard.
      window_steps: length of the window, ≥ 2.
      sigma_factor: ≥ 0; infinity lets every finite step pass.
      watch: the global norm of the incoming updates, the `value` given to `update` (the loss), or
        both.
      max_consecutive_skips: after this many skips in a row, a spike becomes the new level; `None`
        for never.

    Raises:
      ValueError: `value` is watched, but was not given to `update` or is not a real scalar; `inner`
        contains `dynamic_loss_scale`, which must be outside.

    The gradient that is a hundred times too large does not move the parameters:

    >>> import jax.numpy as jnp, optcore
    >>> tx = skip_on_spike(optcore.sgd(0.1), 4)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (1.0, 1.2, 1.1, 100.0, 1.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 4), state.skipped.item())
    -0.1 0
    -0.12 0
    -0.11 0
    0.0 1
    -0.1 0
    """
    inner = adapt(inner)
    enough = max(2, (window_steps + 1) // 2)

    def watched(updates: Updates, value: Any) -> jax.Array:
        numbers = []
        if watch != "value":
            numbers.append(global_norm(updates).astype(jnp.float32))
        if watch != "gradient":
            if value is None:
                raise ValueError(
                    f"skip_on_spike with watch={watch!r} needs 'value', which was not given: call "
                    "tx.update(updates, state, params=params, value=loss)"
                )
            numbers.append(real_scalar("skip_on_spike", value).astype(jnp.float32))
        return jnp.stack(numbers)

    def is_spike(x: jax.Array, count: jax.Array, window: jax.Array) -> jax.Array:
        there = (jnp.arange(window_steps, dtype=jnp.int32) >= window_steps - count)[:, None]
        n = jnp.clip(count, 2, window_steps).astype(jnp.float32)
        # Relative to the newest, so that equal numbers have an exact mean and a deviation of 0.
        newest = window[-1:]
        apart = jnp.where(there, window - newest, 0)
        mean = jnp.sum(apart, axis=0, keepdims=True) / n
        # The watched numbers are the same on all devices.
        with agreeing_over(()):
            sigma = norm_along(jnp.where(there, apart - mean, 0), 0) / jnp.sqrt(n - 1)
        return (count >= enough) & jnp.any(x[None] - newest - mean > sigma_factor * sigma)

    def init(params: Params) -> SkipOnSpikeState:
        window = jnp.zeros((window_steps, 2 if watch == "both" else 1), jnp.float32)
        return SkipOnSpikeState(zero_count(), window, zero_count(), inner.init(params))

    def update(
        updates: Updates, state: SkipOnSpikeState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, SkipOnSpikeState]:
        x = watched(updates, extra.get("value"))
        finite = jnp.all(jnp.isfinite(x))
        spike = is_spike(x, state.count, state.window)
        anew = jnp.zeros((), bool)
        if max_consecutive_skips is not None:
            anew = spike & (state.skipped >= max_consecutive_skips)
        take = finite & (~spike | anew)

        # Zeros where the step is discarded: the derivative of the unselected branch must be finite.
        updates = zero_unless(take, updates)
        steps, new = inner.update(updates, state.inner, params, **extra)
        after = SkipOnSpikeState(
            count=increment(jnp.where(anew, 0, state.count)),
            window=jnp.concatenate([state.window[1:], x[None]]),
            skipped=jnp.zeros_like(state.skipped),
            inner=new,
        )
        before = state._replace(skipped=increment(state.skipped))
        return zero_unless(take, steps), choose(take, after, before)

    return GradientTransformation(init, update)
