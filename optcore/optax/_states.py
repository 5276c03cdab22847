"""States of the native algorithms as optax has them: its classes, its fields, its paths."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from .._core import (
    EmptyState,
    GradientTransformation,
    Init,
    Leafwise,
    Update,
    increment,
    is_declared,
    weak,
    zero_count,
)


def with_state(
    pair: GradientTransformation,
    kind: Any,
    native: Any = EmptyState,
    *,
    counted: bool = False,
    **names: str,
) -> GradientTransformation:
    """The pair with a state of optax's class.

    Args:
      pair: of a native algorithm.
      kind: optax's class of its state.
      native: the native class. Fields that optax's class lacks are `None` there.
      counted: whether optax's state counts steps although the native one does not.
      **names: optax's fields that have another name in the native state, each with that name.
    """
    fields = {f: names.get(f, f) for f in kind._fields if not (counted and f == "count")}

    def outside(new: Any, old: Any, params: Any) -> Any:
        own = {field: getattr(new, name) for field, name in fields.items()}
        if counted:
            own["count"] = zero_count() if old is None else increment(_as_count(old.count))
        return kind(**own)

    def inside(state: Any, params: Any) -> Any:
        own = {name: getattr(state, field) for field, name in fields.items()}
        return native(**{name: own.get(name) for name in native._fields})

    return translated(pair, outside, inside)


def _as_count(count: Any) -> Any:
    return count if hasattr(count, "dtype") else jnp.int32(count)


def translated(
    pair: GradientTransformation,
    outside: Callable[[Any, Any, Any], Any],
    inside: Callable[[Any, Any], Any],
    *,
    waiting: bool = True,
) -> GradientTransformation:
    """The pair with another state.

    Args:
      pair: of a native algorithm.
      outside: makes the new state from the pair's own state, the previous new state (`None` in
        `init`) and the parameters.
      inside: makes the pair's own state from the new state and the parameters.
      waiting: whether both functions ignore the arrays of slots, which may not be computed yet.
        Otherwise the parameters may also be the gradients, of the same shapes.
    """

    def init(params: Any) -> Any:
        return outside(pair.init(params), None, params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        model = updates if params is None and not waiting else params
        updates, new = pair.update(updates, inside(state, model), params, **extra)
        return updates, outside(new, state, model)

    return made_of(pair, init, update) if waiting else GradientTransformation(init, update)


def by_count(
    make: Callable[..., GradientTransformation], arguments: dict[str, Any], count: str = "count"
) -> GradientTransformation:
    """The pair of a factory whose arguments may be schedules of a count in its state.

    Args:
      make: the factory.
      arguments: by name.
      count: the field of the state.
    """
    schedules = {n: v for n, v in arguments.items() if callable(v)}
    if not schedules:
        return make(**arguments)

    def at(step: Any) -> GradientTransformation:
        values = {n: weak(jnp.asarray(schedule(step))) for n, schedule in schedules.items()}
        return make(**{**arguments, **values})

    def init(params: Any) -> Any:
        return at(zero_count()).init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return at(getattr(state, count)).update(updates, state, params, **extra)

    constant = make(**{**arguments, **dict.fromkeys(schedules, 0.0)})
    return made_of(constant, init, update)


def made_of(pair: GradientTransformation, init: Init, update: Update) -> GradientTransformation:
    """A pair that passes on the updates of another one; leafwise if that one is."""
    leafwise = isinstance(pair, Leafwise) or is_declared(pair)
    return (Leafwise if leafwise else GradientTransformation)(init, update)
