"""The roles of a factory's arguments, read from annotations; checks and normalisation."""

import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ._marks import (
    DTypeMark,
    HyperparameterMark,
    KeyMark,
    Mark,
    Range,
    RoleKind,
    ScheduleMark,
    StaticMark,
    TransformationMark,
    is_transformation,
)
from ._types import GradientTransformation


@dataclasses.dataclass(frozen=True)
class Role:
    """One argument of a factory, as its annotation declares it."""

    owner: str
    name: str
    mark: Mark
    optional: bool
    container: bool
    range: Range | None
    base: Any

    @property
    def kind(self) -> RoleKind:
        """The mark from its annotation."""
        return self.mark.kind

    @property
    def where(self) -> str:
        """The argument's full name, for messages."""
        return f"{self.owner}: {self.name}"

    @property
    def names_members(self) -> bool:
        """Whether the argument holds pairs of a name and a transformation."""
        return self.holds_pairs and typing.get_args(self.base)[0] is str

    @property
    def holds_pairs(self) -> bool:
        """Whether it holds pairs of a key, such as a name or a pattern, and a transformation."""
        members = typing.get_args(self.base)
        return typing.get_origin(self.base) is tuple and members[1:] == (GradientTransformation,)

    @property
    def or_int(self) -> bool:
        """Whether a static int may replace the schedule."""
        return self.kind == "schedule" and int in (
            _base(member)[0] for member in typing.get_args(self.base)
        )

    def normalise(self, value: Any) -> Any:
        """The normalised value; raises a `TypeError` or `ValueError` that names the argument."""
        if value is None:
            if not self.optional:
                raise TypeError(f"{self.where} is required, got None")
            return None
        if self.container and self.kind != "static":
            return self._container(value)
        return self._single(value)

    def number(self, value: Any) -> Any:
        """One of the numbers of the argument, checked and normalised."""
        return self._single(value)

    def _container(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {_plain_key(key): self._member(v) for key, v in value.items()}
        if typing.get_origin(self.base) is collections.abc.Mapping:
            raise TypeError(f"{self.where} must be a mapping, such as a dict, got {value!r}")
        if is_transformation(value):
            raise TypeError(f"{self.where} must be a sequence, got the transformation {value!r}")
        if isinstance(value, Sequence) and not isinstance(value, str):
            return tuple(self._member(v) for v in value)
        raise TypeError(f"{self.where} must be a sequence or a mapping, got {value!r}")

    def _member(self, value: Any) -> Any:
        if self.kind == "hyperparameter" and callable(value):
            raise TypeError(
                f"{self.where} holds the function {value!r}: a schedule can replace a whole "
                "hyper-parameter, but not one number among several"
            )
        if not self.holds_pairs:
            return self._single(value)
        pair = isinstance(value, (tuple, list)) and len(value) == 2
        first = "name" if self.names_members else "pattern"
        if (
            is_transformation(value)
            or not pair
            or (self.names_members and not isinstance(value[0], str))
        ):
            raise TypeError(
                f"{self.where} must be pairs of a {first} and a transformation, got {value!r} "
                f"of type {type(value).__name__}"
            )
        return value[0], self._single(value[1])

    def _single(self, value: Any) -> Any:
        return self.mark.kept(self, value)


def _plain_key(key: Any) -> Any:
    return key.item() if isinstance(key, np.generic) else key


def roles_of(function: Callable[..., Any]) -> dict[str, Role]:
    """The role of every argument of a factory, in the order of its signature."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    for name, p in parameters.items():
        if p.kind is p.VAR_KEYWORD:
            raise TypeError(
                f"{function.__name__}: a declared factory must name its arguments, got **{name}"
            )
    roles = {n: _role(function.__name__, p, hints.get(n, Any)) for n, p in parameters.items()}
    for role in roles.values():
        marked = any(isinstance(p, StaticMark) for p in _parts(hints.get(role.name, Any)))
        if role.kind == "static" and role.base is float and not marked:
            raise TypeError(
                f"{role.where} is annotated float, which would be static: annotate a number that "
                "may be traced, swept and scheduled as Hyperparameter, or with a range, as Rate or "
                "Annotated[Hyperparameter, Range(0, 1)]"
            )
        if isinstance(hints.get(role.name), Range):
            raise TypeError(
                f"{role.where} is annotated {hints[role.name]!r}, which is not a type: write "
                f"Annotated[Hyperparameter, {hints[role.name]!r}]"
            )
    return roles


_ORDER = (HyperparameterMark, TransformationMark, ScheduleMark, DTypeMark, KeyMark)
"""The mark that decides if an annotation has several."""


def _role(owner: str, parameter: inspect.Parameter, hint: Any) -> Role:
    parts = list(_parts(hint))
    base, optional = _base(hint)
    marks = [TransformationMark() if p is GradientTransformation else p for p in parts]
    mark = next((m for kind in _ORDER for m in marks if isinstance(m, kind)), StaticMark())
    origin = typing.get_origin(base)
    container = parameter.kind is parameter.VAR_POSITIONAL or (
        isinstance(origin, type) and issubclass(origin, collections.abc.Collection)
    )
    ranges = [p for p in parts if isinstance(p, Range)]
    limits = ranges[0] if ranges else None
    return Role(owner, parameter.name, mark, optional, container, limits, base)


def _base(hint: Any) -> tuple[Any, bool]:
    """The hint without `Annotated` and without `None`, and whether `None` was there."""
    if hasattr(hint, "__metadata__"):
        return _base(hint.__origin__)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = typing.get_args(hint)
        rest = [m for m in members if m is not type(None)]
        if len(rest) == 1:
            return _base(rest[0])[0], len(rest) < len(members)
        return hint, len(rest) < len(members)
    return hint, False


def _parts(hint: Any) -> Iterator[Any]:
    """Every type and every piece of metadata in a hint; the outermost range comes first."""
    if hasattr(hint, "__metadata__"):
        yield from reversed(hint.__metadata__)
        hint = hint.__origin__
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (Literal, collections.abc.Callable) or not arguments:
        yield hint
        return
    for argument in arguments:
        yield from _parts(argument)
