"""The signature of a factory in `help` and editors: annotations print as they were written."""

import inspect
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Annotated, Any, Literal

from . import _masks, _types


class Named:
    """An annotation that prints by its name.

    Attributes:
      annotation: the real one.
      name: the name in the source.
    """

    __slots__ = ("annotation", "name")

    def __init__(self, annotation: Any, name: str):
        self.annotation = annotation
        self.name = name

    def __repr__(self) -> str:
        return self.name


def shown_signature(function: Callable[..., Any]) -> inspect.Signature:
    """The function's signature, with annotations that print as they were written."""
    names = {**_OURS, **_aliases(function.__globals__)}

    def shown(annotation: Any) -> Any:
        missing = annotation is inspect.Signature.empty
        return annotation if missing else Named(annotation, _name(annotation, names))

    signature = inspect.signature(function)
    parameters = [p.replace(annotation=shown(p.annotation)) for p in signature.parameters.values()]
    return signature.replace(
        parameters=parameters, return_annotation=shown(signature.return_annotation)
    )


def _aliases(namespace: Mapping[str, Any]) -> dict[Any, str]:
    """The unnamed annotations of a module, with their names there."""
    return {
        value: name
        for name, value in namespace.items()
        if not name.startswith("_")
        and (typing.get_origin(value) is Annotated or _is_union(value))
        and _is_hashable(value)
    }


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _is_hashable(annotation: Any) -> bool:
    """Metadata may be anything."""
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


_OURS = {**_aliases(vars(_types)), **_aliases(vars(_masks))}


def _name(annotation: Any, names: Mapping[Hashable, str]) -> str:
    if isinstance(annotation, str):
        return annotation
    if annotation in (None, type(None)):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(annotation, list):
        return f"[{_listed(annotation, names)}]"
    if _is_hashable(annotation) and annotation in names:
        return names[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if _is_union(annotation):
        return " | ".join(_members(list(arguments), names))
    if origin is Annotated:
        return _wider(annotation, names)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        return f"{_name(origin, names)}[{_listed(arguments, names)}]"
    # Some class names include their module.
    return getattr(annotation, "__name__", repr(annotation)).rpartition(".")[2]


def _listed(annotations: Any, names: Mapping[Hashable, str]) -> str:
    return ", ".join(_name(a, names) for a in annotations)


def _members(rest: list[Any], names: Mapping[Hashable, str]) -> list[str]:
    """The names of a union's members: Python dissolves the named unions in it."""
    found = []
    for alias, name in reversed(list(names.items())):
        inside = typing.get_args(alias)
        if _is_union(alias) and all(member in rest for member in inside):
            rest = [member for member in rest if member not in inside]
            found.append(name)
    return found + [_name(member, names) for member in rest]


def _wider(annotation: Any, names: Mapping[Hashable, str]) -> str:
    """The name of an annotation that was narrowed at its use, such as the range of a number."""
    metadata = annotation.__metadata__
    for cut in range(len(metadata) - 1, 0, -1):
        wider = Annotated[(annotation.__origin__, *metadata[:cut])]
        if _is_hashable(wider) and wider in names:
            return names[wider]
    return _name(annotation.__origin__, names)
