"""Hyper-parameters that follow a schedule: their state and their values."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._types import State


class ScheduledState(NamedTuple):
    """The state of a transformation with scheduled hyper-parameters.

    Attributes:
      count: int32, updates made so far.
      hyperparams: float32 scalars by name: the values used at the last step (before the first step,
        those of the first step).
      inner: the state of the transformation itself.
    """

    count: jax.Array  # type: ignore[assignment]
    hyperparams: dict[str, jax.Array]
    inner: State


HOLDERS: set[type] = {ScheduledState}
"""The types of states whose field `hyperparams` holds current values, by name."""


def evaluate(where: str, schedule: Callable[[ArrayLike], Any], count: jax.Array) -> jax.Array:
    """The value of a schedule at `count`, as a float32 scalar."""
    try:
        value = jnp.asarray(schedule(count))
    except Exception as error:
        error.add_note(f"while evaluating the schedule {where}")
        raise
    if value.ndim:
        raise ValueError(f"{where} must return a scalar, the schedule returned shape {value.shape}")
    if jnp.iscomplexobj(value):
        raise TypeError(f"{where} is a schedule that returns {value.dtype}, expected a real number")
    # A copy, because a schedule that returns a stored array would share its buffer with the state.
    return jnp.array(value, jnp.float32, copy=not isinstance(value, jax.core.Tracer))


def is_holder(node: Any) -> bool:
    """Whether it is a state that holds hyper-parameters."""
    return type(node) in HOLDERS


def holders_in(state: State) -> Iterator[Any]:
    """The states in `state` that hold hyper-parameters, from the outside inwards."""
    for node in jax.tree.leaves(state, is_leaf=is_holder):
        if is_holder(node):
            yield node
            yield from holders_in(tuple(node))


def map_holders(f: Callable[[int, Any], Any], state: State) -> State:
    """The state with `f(number, holder)` for each that holds hyper-parameters."""
    numbers = iter(range(len(list(holders_in(state)))))

    def visit(node: Any) -> Any:
        if not is_holder(node):
            return node
        node = f(next(numbers), node)
        return type(node)(*(jax.tree.map(visit, field, is_leaf=is_holder) for field in node))

    return jax.tree.map(visit, state, is_leaf=is_holder)
