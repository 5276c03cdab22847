"""Reading hyper-parameters: from the declaration, and from a state the values last used."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ._declared import Declared, ScheduledState
from ._roles import is_transformation


def hyperparameters(tx: Any, *, schedules_inside: bool = True) -> dict[str, Any]:
    """The numeric hyper-parameters of a declared transformation by path.

    Args:
      tx: a declared transformation or schedule.
      schedules_inside: list the numbers of a declared schedule (`learning_rate.init_value`)
        rather than the schedule itself.

    Returns:
      A dict from path (`learning_rate`, `transforms.1.b1`) to the number, array or schedule.

    Raises:
      TypeError: `tx` is a plain pair, which declares nothing.

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
        if own and not (schedules_inside and isinstance(value, Declared)):
            found[name] = value
            continue
        for path, child in children_of(name, value, pairs=role.holds_pairs):
            inner = hyperparameters(child, schedules_inside=schedules_inside)
            found.update({f"{path}.{n}": v for n, v in inner.items()})
    return found


def children_of(name: str, value: Any, *, pairs: bool = False) -> list[tuple[str, Declared]]:
    """The declared objects inside an argument, each with its path.

    Args:
      name: of the argument.
      value: of the argument.
      pairs: the argument holds pairs, of which a first that is a string is the second's path.
    """
    if isinstance(value, Declared):
        return [(name, value)]
    if is_transformation(value):
        return []
    if isinstance(value, Mapping):
        return [pair for k, v in value.items() for pair in children_of(f"{name}.{k}", v)]
    if isinstance(value, tuple) and pairs:
        named = [(k if isinstance(k, str) else f"{name}.{i}", v) for i, (k, v) in enumerate(value)]
        return [pair for path, v in named for pair in children_of(path, v)]
    if isinstance(value, tuple):
        return [pair for i, v in enumerate(value) for pair in children_of(f"{name}.{i}", v)]
    return []


def read(tx: Any, state: Any, name: str) -> jax.Array:
    """The value of a hyper-parameter in use: constant, scheduled or swept.

    Args:
      tx: a declared transformation.
      state: its state.
      name: the hyper-parameter's name, or as much of the end of its path as makes it unique
        (see `hyperparameters`).

    Returns:
      A float32 array: for a constant that number, for a schedule the value used at the last
      step (before the first step, the one it will use), for a swept one the stacked values.

    Raises:
      KeyError: no hyper-parameter has this name, or several do; the message lists them.

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
    known = hyperparameters(tx, schedules_inside=False)
    matches = [path for path in known if path == name or path.endswith(f".{name}")]
    if name in known:
        matches = [name]
    if len(matches) != 1:
        raise KeyError(_no_match(tx, name, matches, list(known)))
    value = known[matches[0]]
    if not callable(value):
        return jnp.asarray(value, jnp.float32)
    owner, _, own_name = matches[0].rpartition(".")
    owners = _scheduled_owners(tx, "")
    states = list(_scheduled_states(state))
    if len(owners) != len(states):
        raise KeyError(
            f"the state has scheduled values in {len(states)} places, {tx!r} in {len(owners)}: "
            "does it belong to this optimizer?"
        )
    return states[owners.index(owner)].hyperparams[own_name]


def _no_match(tx: Any, name: str, matches: list[str], known: list[str]) -> str:
    if matches:
        return f"{name!r} is ambiguous in {tx!r}: give one of {', '.join(matches)}"
    ends = {path.rpartition(".")[2]: path for path in known}
    near = difflib.get_close_matches(name, [*known, *ends], 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{tx!r} has no hyper-parameter {name!r}; {hint}it has {', '.join(known) or 'none'}"


def _scheduled_owners(tx: Declared, path: str) -> list[str]:
    """The paths of the transformations that resolve schedules, outer before inner."""
    owners = [path] if tx.declaration.schedules() else []
    for name, role in tx.declaration.factory.roles.items():
        if role.kind == "transformation":
            value = tx.declaration.arguments[name]
            # A dict of states that has been through a jit is sorted by its keys.
            if role.names_members:
                value = tuple(sorted(value, key=lambda pair: pair[0]))
            elif isinstance(value, Mapping):
                value = {key: value[key] for key in sorted(value)}
            children = children_of(name, value, pairs=role.holds_pairs)
            for child_path, child in children:
                owners += _scheduled_owners(child, f"{path}.{child_path}" if path else child_path)
    return owners


def _scheduled_states(state: Any) -> Iterator[ScheduledState]:
    """Every `ScheduledState` inside a state, in the order of the declaration."""
    if isinstance(state, ScheduledState):
        yield state
    if isinstance(state, Mapping):
        # A dict that has been through a jit is sorted.
        for key in sorted(state):
            yield from _scheduled_states(state[key])
    elif isinstance(state, (tuple, list)):
        for value in state:
            yield from _scheduled_states(value)
