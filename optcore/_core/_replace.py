"""Replacing arguments of a declared object, and of objects inside it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ._marks import is_transformation
from ._other_names import find_among
from ._roles import Role
from ._walk import is_declared, joined, parts_in

Make = Callable[[Any, Mapping[str, Any]], Any]


def replaced(tx: Any, arguments: Mapping[str, Any], make: Make) -> Any:
    """Call the factory again with changed arguments, at every level that they affect.

    Args:
      tx: a declared object; it is not changed.
      arguments: by name, by path, or by a unique end of the path.
      make: from a factory and arguments by name to the declared object.

    Raises:
      KeyError: a name is not there, or ambiguous; the message suggests.
      TypeError: one argument contains another, or is given twice.
      Exception: any error of the factories.
    """
    factory, old = tx.declaration.factory, tx.declaration.arguments
    known = list(dict.fromkeys(_paths(tx)))
    if known == list(old):
        return make(factory, {**old, **arguments})
    changes: dict[str, Any] = {}
    for name, value in arguments.items():
        path = find_among(tx, name, known, "argument")
        for other in changes:
            if _is_in(path, other) or _is_in(other, path):
                raise TypeError(f"replace: {other!r} and {path!r} are one, or one is in the other")
        changes[path] = value
    return _with(tx, changes, make)


def _paths(tx: Any) -> Iterator[str]:
    """The paths of its arguments, of their parts, and of the arguments inside those."""
    declaration = tx.declaration
    yield from declaration.arguments
    for name, role in declaration.factory.roles.items():
        value = declaration.arguments[name]
        if _has_keys(value, role):
            yield from (f"{name}.{key}" for key in value)
        for part in parts_in(role, name, value):
            yield part.path
            if is_declared(part.value):
                yield from (joined(part.path, deeper) for deeper in _paths(part.value))


def _has_keys(value: Any, role: Role) -> bool:
    mapping = role.kind == "hyperparameter" and isinstance(value, Mapping)
    return mapping and all(isinstance(key, str) for key in value)


def _is_in(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def _with(tx: Any, changes: Mapping[str, Any], make: Make) -> Any:
    factory, new = tx.declaration.factory, dict(tx.declaration.arguments)
    for name, role in factory.roles.items():
        value = new[name]
        parts = [part.path for part in parts_in(role, name, value)]
        inside = [name] if _has_keys(value, role) else parts
        if name in changes:
            new[name] = changes[name]
        elif any(_is_in(path, there) for path in changes for there in inside):
            new[name] = _member(name, value, changes, make, pairs=role.holds_pairs)
    return make(factory, new)


def _member(
    path: str, value: Any, changes: Mapping[str, Any], make: Make, *, pairs: bool = False
) -> Any:
    """An argument, or a part of one, with its changes; paths as in `parts_in`."""
    if path in changes:
        return changes[path]
    if is_declared(value):
        start = f"{path}."
        inner = {p.removeprefix(start): v for p, v in changes.items() if p.startswith(start)}
        return _with(value, inner, make) if inner else value
    if is_transformation(value):
        return value
    if isinstance(value, Mapping):
        return {k: _member(f"{path}.{k}", v, changes, make) for k, v in value.items()}
    if isinstance(value, tuple) and pairs:
        named = [k if isinstance(k, str) else f"{path}.{i}" for i, (k, _) in enumerate(value)]
        members = zip(named, value, strict=True)
        return tuple((k, _member(there, v, changes, make)) for there, (k, v) in members)
    if isinstance(value, tuple):
        return tuple(_member(f"{path}.{i}", v, changes, make) for i, v in enumerate(value))
    return value
