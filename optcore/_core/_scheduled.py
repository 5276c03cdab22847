"""Hyper-parameters that follow a schedule: the state that keeps them, and their values."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ._paths import what_it_is
from ._types import State


class ScheduledState(NamedTuple):
    """The state of a transformation with scheduled hyper-parameters.

    Attributes:
      count: int32, updates made so far.
      hyperparams: float32 scalars by name: the values used at the last step (before the first
        step, those that it will use).
      inner: the state of the transformation itself.
    """

    count: jax.Array  # type: ignore[assignment]
    hyperparams: dict[str, jax.Array]
    inner: State


HOLDERS: set[type] = {ScheduledState}
"""The types of states whose field `hyperparams` holds values in use, by name."""


def evaluate(where: str, schedule: Callable[[ArrayLike], Any], count: jax.Array) -> jax.Array:
    """The value of a schedule at `count`, as a float32 scalar."""
    try:
        value = jnp.asarray(schedule(count))
    except Exception as error:
        error.add_note(f"while evaluating the schedule {where}")
        raise
    if value.ndim:
        raise ValueError(f"{where} is a schedule that gives shape {value.shape}, expected a scalar")
    if jnp.iscomplexobj(value):
        raise TypeError(f"{where} is a schedule that gives {value.dtype}, expected a real number")
    # A copy, or a schedule that returns a stored array would share its buffer with the state.
    return jnp.array(value, jnp.float32, copy=not isinstance(value, jax.core.Tracer))


def _is_holder(node: Any) -> bool:
    return type(node) in HOLDERS


def holders_in(state: State) -> Iterator[Any]:
    """The states in `state` that hold hyper-parameters, from the outside inwards."""
    for node in jax.tree.leaves(state, is_leaf=_is_holder):
        if _is_holder(node):
            yield node
            yield from holders_in(tuple(node))


def map_holders(f: Callable[[int, Any], Any], state: State) -> State:
    """The state with `f(number, holder)` for each that holds hyper-parameters."""
    numbers = iter(range(len(list(holders_in(state)))))

    def visit(node: Any) -> Any:
        if not _is_holder(node):
            return node
        node = f(next(numbers), node)
        return type(node)(*(jax.tree.map(visit, field, is_leaf=_is_holder) for field in node))

    return jax.tree.map(visit, state, is_leaf=_is_holder)


def as_held(name: str, expected: State, state: State) -> State:
    """The state with the hyper-parameters that someone put there in the types that `init` made.

    Args:
      name: of the transformation.
      expected: an abstract state for any parameters, on which hyper-parameters do not depend.
      state: what came.

    Raises:
      TypeError: something in the place of a hyper-parameter is no real number.
      ValueError: it has another shape.
    """
    made, found = (list(holders_in(tree)) for tree in (expected, state))
    if len(made) != len(found) or all(
        _same_numbers(m.hyperparams, f.hyperparams) for m, f in zip(made, found, strict=True)
    ):
        return state

    def change(number: int, holder: Any) -> Any:
        types = made[number].hyperparams
        given = holder.hyperparams
        return holder._replace(hyperparams={n: _held(name, n, types[n], given[n]) for n in types})

    return map_holders(change, state)


def _same_numbers(expected: Any, values: Any) -> bool:
    wanted, tree = jax.tree.flatten(expected)
    found, other = jax.tree.flatten(values)
    return tree == other and all(map(_same_number, wanted, found))


def _same_number(expected: Any, value: Any) -> bool:
    same = isinstance(value, jax.Array) and jax.typeof(value) == jax.typeof(expected)
    return same and not getattr(value, "weak_type", False)


def _held(name: str, key: str, expected: Any, value: Any) -> Any:
    wanted, treedef = jax.tree.flatten(expected)
    several = isinstance(expected, (tuple, list))
    numbers = list(value) if several and isinstance(value, (tuple, list)) else [value]
    where = f"{name}.update: hyperparams[{key!r}] in the state"
    if len(numbers) != len(wanted):
        raise ValueError(f"{where} must be {len(wanted)} numbers, got {what_it_is(value)}")
    return treedef.unflatten(_number(where, w, n) for w, n in zip(wanted, numbers, strict=True))


def _number(where: str, expected: Any, value: Any) -> jax.Array:
    dtype = getattr(value, "dtype", np.result_type(type(value)) if _is_python(value) else None)
    if dtype is None or not any(jnp.issubdtype(dtype, k) for k in (np.integer, np.floating)):
        cause = ""
        if callable(value):
            cause = "; a schedule is given to the factory, where the number stood"
        raise TypeError(f"{where} must be a real number, got {what_it_is(value)}{cause}")
    if np.shape(value) != expected.shape:
        raise ValueError(
            f"{where} must be {what_it_is(expected)}, got {what_it_is(value)}; a state of several "
            "optimizers is used under jax.vmap"
        )
    return jnp.asarray(value).astype(expected.dtype)


def _is_python(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
