"""Accumulation under optax's names."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core import (
    DType,
    GradientTransformation,
    Length,
    Params,
    Schedule,
    State,
    Updates,
    adapt,
    all_finite,
    global_norm,
    increment,
    is_inexact,
    refuse_differing,
    slots,
    transformation,
    whole_count,
    zero_count,
)
from ._accumulate import AccumulateState, gather, shares, window
from ._branch import run_if


class MultiStepsState(NamedTuple):
    """What was accumulated, and the state of what is wrapped; the first five are optax's words.

    Attributes:
      mini_step: int32, gradients in the accumulator, for which the optimizer has not yet run.
      gradient_step: int32, steps that it has made.
      inner_opt_state: its state.
      acc_grads: the mean or the sum so far; the first gradient of a window overwrites it.
      skip_state: what `should_skip_update_fn` returned besides its decision.
      skipped: int32, gradients skipped in a row.
      total_notfinite: int32, all gradients that were not finite.
    """

    mini_step: jax.Array
    gradient_step: jax.Array
    inner_opt_state: State
    acc_grads: Updates
    skip_state: Any
    skipped: jax.Array
    total_notfinite: jax.Array


@transformation(
    "wrapper", example={"every_k_schedule": 2}, skips=True, skips_nonfinite=True, all_reduces=1
)
def MultiSteps(  # noqa: N802 (optax's name)
    opt: GradientTransformation,
    every_k_schedule: Length | Schedule,
    use_grad_mean: bool = True,
    should_skip_update_fn: Callable[..., Any] | None = None,
    accumulator_dtype: DType = jnp.float32,
) -> GradientTransformation:
    """Accumulate under optax's name; `accumulate` is what new code should use.

    Here it is a transformation like any other, so there is nothing to convert it by:
    `gradient_transformation()` falls away, and `has_updated(state)` is a function. A gradient
    that is not finite is always skipped.

    Args:
      opt: what runs once for every window.
      every_k_schedule: gradients in a window: an int, or a schedule of it over the steps of
        `opt`.
      use_grad_mean: whether `opt` gets the mean of a window, or its sum.
      should_skip_update_fn: `f(updates, gradient_step, params) -> (skip, skip_state)`, such as
        `skip_not_finite` or `functools.partial(skip_large_updates, max_squared_norm=42.0)`: a
        boolean scalar, and any tree of arrays to be kept in the state. A skipped gradient
        neither enters the accumulator nor counts.
      accumulator_dtype: of the accumulator.

    Raises:
      ValueError: `opt` contains `dynamic_loss_scale`, which must stand outside; or
        `should_skip_update_fn` gives no boolean scalar.

    The infinite gradient does not count:

    >>> import jax.numpy as jnp, optcore
    >>> tx = MultiSteps(optcore.sgd(1.0), 2)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (3.0, jnp.inf, 9.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(update.item(), has_updated(state).item())
    0.0 False
    0.0 False
    -6.0 True
    """
    inner = adapt(opt)

    def judge(updates: Updates, step: jax.Array, params: Params | None) -> tuple[jax.Array, Any]:
        if should_skip_update_fn is None:
            return jnp.zeros((), bool), ()
        skip, skip_state = should_skip_update_fn(updates, step, params)
        skip = jnp.asarray(skip)
        refuse_differing("MultiSteps", "should_skip_update_fn", skip)
        if skip.shape or skip.dtype != bool:
            raise ValueError(
                "MultiSteps: should_skip_update_fn must give a boolean scalar first, got "
                f"{skip.dtype}{list(skip.shape)}"
            )
        return skip, skip_state

    def init(params: Params) -> MultiStepsState:
        step = zero_count()
        zeros = slots(params)
        return MultiStepsState(
            mini_step=zero_count(),
            gradient_step=step,
            inner_opt_state=inner.init(params),
            acc_grads=slots(params, accumulator_dtype),
            skip_state=_blank(judge, zeros, step, params),
            skipped=zero_count(),
            total_notfinite=zero_count(),
        )

    def update(
        updates: Updates, state: MultiStepsState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MultiStepsState]:
        skip, skip_state = judge(updates, state.gradient_step, params)
        finite = all_finite(updates)
        take = finite & ~skip
        one = jnp.ones((), jnp.float32)
        _, keep, add = shares(state.mini_step.astype(jnp.float32), one)
        if not use_grad_mean:
            keep, add = jnp.where(keep > 0, one, 0), one
        means, acc_grads = gather(updates, state.acc_grads, keep, add, take)
        mini_step = increment(state.mini_step)
        enough = mini_step >= window("MultiSteps", every_k_schedule, state.gradient_step)
        emit = take & enough
        steps, new = run_if(emit, inner, means, state.inner_opt_state, params, extra)
        return steps, MultiStepsState(
            mini_step=jnp.where(emit, 0, jnp.where(take, mini_step, state.mini_step)),
            gradient_step=jnp.where(emit, increment(state.gradient_step), state.gradient_step),
            inner_opt_state=new,
            acc_grads=acc_grads,
            skip_state=skip_state,
            skipped=jnp.where(take, 0, increment(state.skipped)),
            total_notfinite=jnp.where(
                finite, state.total_notfinite, increment(state.total_notfinite)
            ),
        )

    return GradientTransformation(init, update)


def _blank(judge: Callable[..., Any], updates: Updates, step: jax.Array, params: Params) -> Any:
    """The state of what decides about skipping, before any gradient."""
    _, shapes = jax.eval_shape(judge, updates, step, params)
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)


def has_updated(state: State) -> jax.Array:
    """Whether the last call of `accumulate` or `MultiSteps` made a step of what it wraps.

    Args:
      state: its state, or a tree that contains it; of several, one inside another, that of the
        outermost.

    Raises:
      ValueError: there is none, or several beside each other.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.accumulate(optcore.sgd(0.1), 2)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     _, state = tx.update(jnp.ones(2), state)
    ...     print(has_updated(state).item())
    False
    True
    """

    def is_window(node: Any) -> bool:
        return isinstance(node, (AccumulateState, MultiStepsState))

    found = [node for node in jax.tree.leaves(state, is_leaf=is_window) if is_window(node)]
    if len(found) != 1:
        raise ValueError(
            "has_updated: expected a state with one accumulate or MultiSteps in it, found "
            f"{len(found)}"
        )
    (last,) = found
    made = last.gradient_step if isinstance(last, MultiStepsState) else last.count
    return (last.mini_step == 0) & (made > 0) & (last.skipped == 0)


def skip_not_finite(
    updates: Updates, gradient_step: ArrayLike, params: Params | None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Skip a gradient with NaN or an infinity in it, as `MultiSteps` does anyhow, and count them.

    Args:
      updates: the gradient.
      gradient_step: not used.
      params: not used.

    Returns:
      The decision, and a dict with it (`should_skip`) and the number of elements that are not
      finite (`num_not_finite`, int32).

    >>> import jax.numpy as jnp
    >>> skip, seen = skip_not_finite({"w": jnp.array([1.0, jnp.inf, jnp.nan])}, 0, None)
    >>> skip.item(), seen["num_not_finite"].item()
    (True, 2)
    """
    bad = [
        whole_count(~jnp.isfinite(g)).astype(jnp.int32)
        for g in jax.tree.leaves(updates)
        if is_inexact(g)
    ]
    number = sum(bad, start=zero_count())
    return number > 0, {"should_skip": number > 0, "num_not_finite": number}


def skip_large_updates(
    updates: Updates,
    gradient_step: ArrayLike,
    params: Params | None,
    max_squared_norm: ArrayLike,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Skip a gradient whose squared global norm is not below a bound, NaN included.

    Args:
      updates: the gradient.
      gradient_step: not used.
      params: not used.
      max_squared_norm: the bound.

    Returns:
      The decision, and a dict with it (`should_skip`) and the squared norm (`norm_squared`).

    >>> import jax.numpy as jnp
    >>> skip, seen = skip_large_updates(jnp.array([3.0, 4.0]), 0, None, max_squared_norm=24.0)
    >>> skip.item(), seen["norm_squared"].item()
    (True, 25.0)
    """
    squared = jnp.square(global_norm(updates).astype(jnp.float32))
    skip = ~(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}
