"""Replacing hyper-parameters in a state."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    Declared,
    Role,
    State,
    is_inexact,
    map_holders,
    wide,
)
from ._read import find_path, holders_of, place, role_at


def set_hyperparams(tx: Any, state: State, /, **values: Any) -> State:
    """Replace the values of injected hyper-parameters in a state, from the next step on.

    Types, shapes and shardings do not change, so nothing is recompiled. In a state of several
    optimizers (made under `vmap`) a number sets the value for all, and an array sets one for each.

    Args:
      tx: the declared transformation that the state belongs to.
      state: its state; it is not changed.
      **values: numbers by name, or by an end of the path that is unique:
        `**{"transforms.1.learning_rate": 0.1}`.

    Returns:
      A new state.

    Raises:
      KeyError: a name is unknown or ambiguous; the message suggests known names.
      TypeError: a value is not a number.
      ValueError: a value is out of range or has another shape, or its name is a constant or follows
        a schedule.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.chain(optcore.clip(1.0), optcore.inject(optcore.sgd(0.5)))
    >>> state = set_hyperparams(tx, tx.init(jnp.zeros(())), learning_rate=0.25)
    >>> tx.update(jnp.ones(()), state)[0].item()
    -0.25
    """
    if not isinstance(tx, Declared):
        raise TypeError(f"set_hyperparams needs a declared transformation, got {type(tx).__name__}")
    holders = holders_of(tx, state)
    changes: dict[int, dict[str, Any]] = {}
    for name, value in values.items():
        path = find_path(tx, name)
        at = place(tx, path)
        injected = at is not None and hasattr(holders[at[0]], "hyperparams_states")
        if at is not None and (not injected or at[1] in holders[at[0]].hyperparams_states):
            raise ValueError(
                f"set_hyperparams: {path!r} follows a schedule, which would overwrite a new value; "
                "make the optimizer with a number in its place"
            )
        if at is None:
            raise ValueError(
                f"set_hyperparams: {path!r} is a constant of {tx!r}, and not in its state; make "
                "it with inject(tx)"
            )
        old = holders[at[0]].hyperparams[at[1]]
        changes.setdefault(at[0], {})[at[1]] = _new_value(path, role_at(tx, path), old, value)

    def change(number: int, holder: Any) -> Any:
        new = {**holder.hyperparams, **changes.get(number, {})}
        return holder._replace(hyperparams=new)

    return map_holders(change, state)


def _new_value(path: str, role: Role, old: Any, value: Any) -> Any:
    if isinstance(old, (tuple, list)):
        if not isinstance(value, (tuple, list)) or len(value) != len(old):
            raise ValueError(f"set_hyperparams: {path!r} holds {len(old)} numbers, got {value!r}")
        pairs = zip(old, value, strict=True)
        return type(old)(_new_value(path, role, o, v) for o, v in pairs)
    if callable(value) or value is None:
        raise TypeError(f"set_hyperparams: {path!r} must be a number, got {value!r}")
    number = jnp.asarray(role.number(value))
    if number.shape not in ((), jnp.shape(old)):
        raise ValueError(
            f"set_hyperparams: {path!r} has shape {jnp.shape(old)}, got {number.shape}"
        )
    if number.ndim and not isinstance(number, jax.core.Tracer):
        for member in np.ravel(number):
            role.number(float(member))
    old = jnp.asarray(old)
    # A value that was put there by hand may be an int, or narrower than float32.
    return jnp.full_like(old, number, wide(old.dtype) if is_inexact(old) else jnp.float32)
