"""A transformation that works only at some steps, under optax's names."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    cond,
    extras_of,
    increment,
    refuse_differing,
    transformation,
    zero_count,
)
from ..transforms import trace
from ._branch import like, run_if
from ._stages import gives_steps


class ConditionallyTransformState(NamedTuple):
    """The state of what is wrapped, and the calls; optax's words.

    Attributes:
      inner_state: its state.
      step: int32, calls of `update` so far.
    """

    inner_state: State
    step: jax.Array


class ConditionallyMaskState(NamedTuple):
    """The calls, and the state of what is wrapped; optax's words.

    Attributes:
      step: int32, calls of `update` so far.
      inner_state: its state.
    """

    step: jax.Array
    inner_state: State


def _is_even(step: jax.Array) -> jax.Array:
    return step % 2 == 0


def _forwarded(arguments: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The extra arguments that the condition takes, behind the step; `None` for anything."""
    if not arguments["forward_extra_args"]:
        return ()
    names, others = extras_of(arguments["should_transform_fn"], by_position=1)
    return None if others else tuple(sorted(names))


@transformation(
    "wrapper",
    example={"inner": trace(0.9), "should_transform_fn": _is_even},
    uses=_forwarded,
    partial="steps",
)
def conditionally_transform(
    inner: GradientTransformation,
    should_transform_fn: Callable[..., Any],
    forward_extra_args: bool = False,
) -> GradientTransformation:
    """Transform the updates only at some steps, and let them pass at all others.

    At a step without it the state of `inner` stays as it is, and `inner` does not run; under
    `vmap` it does, and what it did is not chosen.

    Args:
      inner: a transform or a direction. Around an optimizer the gradient that passes would be
        added to the parameters: that is an error.
      should_transform_fn: from the calls of `update` so far, an int32 scalar, to a boolean
        scalar.
      forward_extra_args: hand it the extra arguments of `update` too that its signature has
        room for.

    Raises:
      ValueError: `inner` gives steps of descent, or contains `dynamic_loss_scale`, which must
        stand outside; or `should_transform_fn` gives no boolean scalar.
      TypeError: `should_transform_fn` is no function.

    >>> import jax.numpy as jnp, optcore
    >>> tx = conditionally_transform(optcore.clip(1.0), lambda step: step >= 1)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(2):
    ...     update, state = tx.update(jnp.float32(5.0), state)
    ...     print(update.item())
    5.0
    1.0
    """
    if gives_steps(inner):
        raise ValueError(
            f"conditionally_transform: inner gives steps of descent ({inner!r}); at a step without "
            "it the raw gradient would be added to the parameters; conditionally_mask gives zeros"
        )
    _check_function("conditionally_transform", should_transform_fn)
    inner = adapt(inner)

    def init(params: Params) -> ConditionallyTransformState:
        return ConditionallyTransformState(inner.init(params), zero_count())

    def update(
        updates: Updates,
        state: ConditionallyTransformState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, ConditionallyTransformState]:
        name, arguments = "conditionally_transform", extra if forward_extra_args else {}
        condition = _condition(name, should_transform_fn, state.step, arguments)

        def run(updates: Updates, inner_state: State) -> tuple[Updates, State]:
            steps, new = inner.update(updates, inner_state, params, **extra)
            return like(updates, steps), new

        def wait(updates: Updates, inner_state: State) -> tuple[Updates, State]:
            return updates, inner_state

        updates, new = cond(condition, run, wait, updates, state.inner_state)
        return updates, ConditionallyTransformState(new, increment(state.step))

    return GradientTransformation(init, update)


@transformation(
    "wrapper",
    example={"should_transform_fn": _is_even},
    uses=_forwarded,
    skips=True,
    per_example="results",
)
def conditionally_mask(
    inner: GradientTransformation,
    should_transform_fn: Callable[..., Any],
    forward_extra_args: bool = False,
) -> GradientTransformation:
    """Update only at some steps, and give exact zeros at all others.

    At a step without it the state of `inner` stays as it is, and `inner` does not run; under
    `vmap` it does, and what it did is not chosen.

    Args:
      inner: what is wrapped.
      should_transform_fn: from the calls of `update` so far, an int32 scalar, to a boolean
        scalar.
      forward_extra_args: hand it the extra arguments of `update` too that its signature has
        room for.

    Raises:
      ValueError: `should_transform_fn` gives no boolean scalar; `inner` contains
        `dynamic_loss_scale`, which must stand outside.
      TypeError: it is no function.

    >>> import jax.numpy as jnp, optcore
    >>> tx = conditionally_mask(optcore.sgd(0.1), lambda step, value: value > 1.0, True)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for value in (2.0, 0.5):
    ...     update, state = tx.update(jnp.float32(5.0), state, value=value)
    ...     print(update.item())
    -0.5
    0.0
    """
    _check_function("conditionally_mask", should_transform_fn)
    inner = adapt(inner)

    def init(params: Params) -> ConditionallyMaskState:
        return ConditionallyMaskState(zero_count(), inner.init(params))

    def update(
        updates: Updates, state: ConditionallyMaskState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, ConditionallyMaskState]:
        name, arguments = "conditionally_mask", extra if forward_extra_args else {}
        condition = _condition(name, should_transform_fn, state.step, arguments)
        steps, new = run_if(condition, inner, updates, state.inner_state, params, extra)
        return steps, ConditionallyMaskState(increment(state.step), new)

    return GradientTransformation(init, update)


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(
            f"{name}: should_transform_fn must be a function of the step, got {function!r}"
        )


def _condition(
    name: str, function: Callable[..., Any], step: jax.Array, arguments: dict[str, Any]
) -> jax.Array:
    names, others = extras_of(function, by_position=1)
    taken = {k: v for k, v in arguments.items() if others or k in names}
    condition = jnp.asarray(function(step, **taken))
    if condition.shape or condition.dtype != bool:
        raise ValueError(
            f"{name}: should_transform_fn must give a boolean scalar, got "
            f"{condition.dtype}{list(condition.shape)}"
        )
    refuse_differing(name, "should_transform_fn", condition)
    return condition
