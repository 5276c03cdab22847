"""Reading hyper-parameters: constants from the declaration, last used values from a state."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._core import (
    Declared,
    Role,
    contents_of,
    find_among,
    holders_in,
    is_declared,
    joined,
    parts_in,
    walk,
)


def hyperparameters(tx: Any, *, schedules_inside: bool = True) -> dict[str, Any]:
    """The numeric hyper-parameters of a declared transformation by path.

    Args:
      tx: a declared transformation or schedule.
      schedules_inside: list the numbers of a declared schedule (`learning_rate.init_value`)
        rather than the schedule itself.

    Returns:
      A dict from path (`learning_rate`, `transforms.1.b1`) to the number, array or schedule.

    Raises:
      TypeError: `tx` is a plain pair, which does not declare hyper-parameters.

    >>> import optcore
    >>> hyperparameters(optcore.chain(optcore.clip_by_global_norm(1.0), optcore.sgd(0.1)))
    {'transforms.0.max_norm': 1.0, 'transforms.1.learning_rate': 0.1}
    """
    if not isinstance(tx, Declared):
        raise TypeError(f"hyperparameters needs a declared transformation, got {type(tx).__name__}")
    found: dict[str, Any] = {}
    for name, role in tx.declaration.factory.roles.items():
        value = tx.declaration.arguments[name]
        own = role.kind == "hyperparameter" and value is not None
        if own and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            found.update({joined(name, key): number for key, number in value.items()})
        elif own and not (schedules_inside and is_declared(value)):
            found[name] = value
        else:
            for part in filter(lambda part: is_declared(part.value), parts_in(role, name, value)):
                inner = hyperparameters(part.value, schedules_inside=schedules_inside)
                found.update({joined(part.path, n): v for n, v in inner.items()})
    return found


def read(tx: Any, state: Any, name: str) -> jax.Array:
    """The current value of a hyper-parameter: constant, scheduled, swept or injected.

    Args:
      tx: a declared transformation.
      state: its state.
      name: the hyper-parameter's name, or an end of its path that is unique (see
        `hyperparameters`).

    Returns:
      A float32 array: the number itself for a constant; the value used at the last step (before the
        first step, the first value) for a schedule; the stacked values for a swept one; the value
        in the state for an injected one.

    Raises:
      KeyError: no hyper-parameter has this name, or several do; the message lists them.
      TypeError: `tx` is a plain pair, which does not declare hyper-parameters; `name` is not a
        string; or the hyper-parameter is a schedule of `optcore.optax`, whose values are not in the
        state.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.sgd(optcore.linear_schedule(1.0, 0.0, 4))
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(3):
    ...     _, state = tx.update(jnp.ones(2), state)
    >>> float(read(tx, state, "learning_rate"))
    0.5
    """
    if not isinstance(tx, Declared):
        raise TypeError(f"read needs a declared transformation, got {type(tx).__name__}")
    if not isinstance(name, str):
        raise TypeError(f"read: name must be a string, such as 'learning_rate', got {name!r}")
    path = find_path(tx, name)
    at = place(tx, path)
    if at is None:
        constant = hyperparameters(tx, schedules_inside=False)[path]
        if callable(constant):
            raise TypeError(
                f"read: {path!r} is a schedule whose value is not in the state, as in optax; call "
                "it with the count in the state"
            )
        return jnp.asarray(constant, jnp.float32)
    number, key = at
    value = holders_of(tx, state)[number].hyperparams[key]
    return jnp.stack(value) if isinstance(value, (tuple, list)) else value


def find_path(tx: Declared, name: str) -> str:
    """The path of the one hyper-parameter that has this name, or this end of its path."""
    held = [
        path for names in contents_of(tx).holders for path in names.values() if path is not None
    ]
    known = list(dict.fromkeys([*hyperparameters(tx, schedules_inside=False), *held]))
    return find_among(tx, name, known, "hyper-parameter")


def place(tx: Declared, path: str) -> tuple[int, str] | None:
    """The index of the state that holds this hyper-parameter, and its key there.

    The result is `None` for a constant, which is in no state.
    """
    for number, names in enumerate(contents_of(tx).holders):
        for key, there in names.items():
            if there == path:
                return number, key
    return None


def holders_of(tx: Declared, state: Any) -> list[Any]:
    """The states in `state` that hold hyper-parameters, checked against `tx`."""
    expected, found = contents_of(tx).holders, list(holders_in(state))
    if len(found) != len(expected):
        raise KeyError(
            f"the state holds hyper-parameters in {len(found)} places, {tx!r} in {len(expected)}: "
            "does it belong to this optimizer?"
        )
    for names, holder in zip(expected, found, strict=True):
        if names.keys() != holder.hyperparams.keys():
            raise KeyError(
                f"the state holds {', '.join(holder.hyperparams) or 'nothing'} where {tx!r} has "
                f"{', '.join(names)}: does it belong to this optimizer?"
            )
    return found


def role_at(tx: Declared, path: str) -> Role:
    """The role of the argument at a path."""
    for part in walk(tx):
        roles = part.value.declaration.factory.roles if is_declared(part.value) else {}
        for name, role in roles.items():
            there = joined(part.path, name)
            several = role.kind == "hyperparameter" and path.startswith(f"{there}.")
            if path == there or (several and not is_declared(part.value.arguments[name])):
                return role
    raise KeyError(f"{tx!r} has no argument at the path {path!r}")
