"""The walk through the parts of a declared object, with their paths and roles."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ._marks import is_transformation
from ._roles import Role


@dataclasses.dataclass(frozen=True)
class Part:
    """A transformation or schedule among the arguments of a declared object.

    A pair of another library is an opaque part.

    Attributes:
      path: its path, such as `transforms.1`; empty for the whole.
      value: the transformation or schedule itself.
      role: the role of the argument that holds it; `None` for the whole.
    """

    path: str
    value: Any
    role: Role | None = None

    @property
    def is_transformation(self) -> bool:
        """Whether it is a wrapped transformation, or the whole."""
        return self.role is None or self.role.kind == "transformation"


def is_declared(value: Any) -> bool:
    """Whether it was made by a declared factory."""
    return hasattr(value, "declaration")


def walk(value: Any, path: str = "", role: Role | None = None) -> Iterator[Part]:
    """The whole and all its parts, including parts of parts, in the order of the states."""
    yield Part(path, value, role)
    for part in children(value):
        yield from walk(part.value, joined(path, part.path), part.role)


def children(value: Any, *, given: bool = False) -> Iterator[Part]:
    """The direct parts of a declared object, in the order of the states.

    With `given` they come in the order of the arguments, which differs for named parts.
    """
    if is_declared(value):
        for name, role in value.declaration.factory.roles.items():
            yield from parts_in(role, name, value.declaration.arguments[name], given=given)


def parts_in(role: Role, path: str, value: Any, *, given: bool = False) -> Iterator[Part]:
    """The parts in one argument; named parts are sorted as in a state, unless `given`."""
    if role.kind not in ("transformation", "schedule", "hyperparameter"):
        return
    if is_declared(value) or is_transformation(value):
        yield Part(path, value, role)
    elif isinstance(value, Mapping):
        for key in value if given else sorted(value):
            yield from parts_in(role, f"{path}.{key}", value[key], given=given)
    elif isinstance(value, tuple) and role.holds_pairs:
        members = [
            (first if isinstance(first, str) else f"{path}.{i}", part)
            for i, (first, part) in enumerate(value)
        ]
        by_name = role.names_members and not given
        for where, part in sorted(members, key=_first) if by_name else members:
            yield Part(where, part, role)
    elif isinstance(value, tuple):
        for i, part in enumerate(value):
            yield from parts_in(role, f"{path}.{i}", part, given=given)


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def joined(path: str, name: str) -> str:
    """A path with a further step."""
    return f"{path}.{name}" if path else name
