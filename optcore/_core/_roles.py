"""What each argument of a factory is, read from its annotation; normalising and checking it."""

import collections.abc
import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np

from ._keys import is_key
from ._types import (
    DTypeMark,
    GradientTransformation,
    HyperparameterMark,
    KeyMark,
    Range,
    ScheduleMark,
    StaticMark,
)


@dataclasses.dataclass(frozen=True)
class Role:
    """One argument of a factory, as its annotation declares it."""

    owner: str
    name: str
    kind: Literal["hyperparameter", "transformation", "schedule", "dtype", "key", "static"]
    optional: bool
    container: bool
    range: Range | None
    base: Any

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
        """Whether it holds pairs of a transformation and what stands in front of it."""
        members = typing.get_args(self.base)
        return typing.get_origin(self.base) is tuple and members[1:] == (GradientTransformation,)

    @property
    def or_int(self) -> bool:
        """Whether a static int may stand in the place of the schedule."""
        return self.kind == "schedule" and int in (
            _base(member)[0] for member in typing.get_args(self.base)
        )

    def normalise(self, value: Any) -> Any:
        """The value as it is kept; raises a `TypeError` or `ValueError` that names the argument."""
        if value is None:
            if not self.optional:
                raise TypeError(f"{self.where} is required, got None")
            return None
        if self.container and self.kind != "static":
            return self._container(value)
        return self._single(value)

    def number(self, value: Any) -> Any:
        """One of the numbers that the argument holds, checked, as it is kept."""
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
                f"{self.where} holds the function {value!r}: a schedule can stand for a whole "
                "hyper-parameter, not for one number among several"
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
        return getattr(self, f"_{self.kind}")(value)

    def _hyperparameter(self, value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            self._refuse_complex(value)
            return value
        if callable(value):
            self._refuse_uncalled(value)
            return value
        if isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{self.where} must be a number, got the bool {value}")
        if isinstance(value, (int, float, np.integer, np.floating)):
            return self._in_range(self._float(value))
        if isinstance(value, (np.ndarray, jax.Array)):
            self._refuse_complex(value)
            return self._in_range(float(value)) if value.ndim == 0 else value
        hint = ""
        if isinstance(value, str):
            hint = f"; did you mean {value} without quotes?" if _is_number(value) else ""
        raise TypeError(
            f"{self.where} must be a number, a scalar array or a schedule (count -> value), "
            f"got {value!r} of type {type(value).__name__}{hint}"
        )

    def _float(self, value: Any) -> float:
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{self.where} must fit in a float, got {value}") from None

    def _refuse_complex(self, value: Any) -> None:
        real = jax.numpy.issubdtype(value.dtype, np.number)
        if not real or jax.numpy.issubdtype(value.dtype, np.complexfloating):
            raise TypeError(f"{self.where} must be a real number, got an array of {value.dtype}")

    def _refuse_uncalled(self, value: Any) -> None:
        if isinstance(value, type) or hasattr(value, "declared_by"):
            raise TypeError(
                f"{self.where} must be a number or a schedule, got the factory {value.__name__}; "
                "was it meant to be called?"
            )

    def _in_range(self, value: Any) -> Any:
        if self.range is not None and value not in self.range:
            cause = ""
            if math.isnan(value):
                cause = "; a NaN usually comes from an earlier computation"
            elif value < 0 <= self.range.low and self.name == "learning_rate":
                cause = "; the sign of a step is set by the optimizer, not by this argument"
            raise ValueError(f"{self.where} must lie in {self.range}, got {value}{cause}")
        if isinstance(value, float) and math.isnan(value):
            raise ValueError(f"{self.where} must be a number, got nan")
        if self.range is None and isinstance(value, float) and math.isinf(value):
            raise ValueError(f"{self.where} must be finite, got {value}")
        return value

    def _transformation(self, value: Any) -> Any:
        if is_transformation(value):
            self._refuse_outermost(value)
            return value
        cause = ""
        if callable(value):
            cause = "; it is a function: was it meant to be called, as in adam(1e-3)?"
        elif isinstance(value, (list, tuple)):
            cause = "; unpack it: chain(*transformations)"
        raise TypeError(
            f"{self.where} must hold gradient transformations, which have `init` and `update`, "
            f"got {value!r} of type {type(value).__name__}{cause}"
        )

    def _refuse_outermost(self, value: Any) -> None:
        declaration = getattr(value, "declaration", None)
        if declaration is not None and declaration.factory.outermost:
            name = declaration.name
            raise ValueError(
                f"{self.where} holds {name}, which must be outermost: it relies on its updates "
                f"being added to the parameters as they are; write {name}({self.owner}(...))"
            )

    def _schedule(self, value: Any) -> Any:
        if callable(value):
            self._refuse_uncalled(value)
        elif self.or_int:
            return self._int(value)
        else:
            several = isinstance(value, (list, tuple))
            cause = "unpack it: f(*schedules)" if several else f"constant_schedule({value!r})"
            raise TypeError(
                f"{self.where} must be a schedule, a function count -> value, got {value!r}; "
                f"was this meant: {cause}?"
            )
        return value

    def _dtype(self, value: Any) -> Any:
        try:
            dtype = np.dtype(value)
        except TypeError as error:
            raise TypeError(f"{self.where} must be a dtype, got {value!r}") from error
        if not jax.numpy.issubdtype(dtype, np.floating):
            raise TypeError(f"{self.where} must be a real floating-point dtype, got {dtype}")
        return dtype

    def _key(self, value: Any) -> Any:
        if not is_key(value) or value.ndim:
            raise TypeError(
                f"{self.where} must be one typed random key, such as jax.random.key(0), "
                f"got {value!r}"
            )
        return value

    def _static(self, value: Any) -> Any:
        if typing.get_origin(self.base) is Literal:
            if value not in self.base.__args__:
                options = ", ".join(map(repr, self.base.__args__))
                raise ValueError(f"{self.where} must be one of {options}, got {value!r}")
            return value
        if self.container and isinstance(value, list):
            value = tuple(value)
        if isinstance(value, (dict, list)):
            # A copy, which does not change when the caller's container does.
            value = jax.tree.map(lambda x: x, value)
        if self.base is bool:
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{self.where} must be True or False, got {value!r}")
            return bool(value)
        if self.base is int:
            return self._int(value)
        if self.base is float:
            return self._static_float(value)
        if self.container and self.range is not None:
            if not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
                raise TypeError(f"{self.where} must be a sequence of ints, got {value!r}")
            return tuple(self._int(v) for v in value)
        return value

    def _static_float(self, value: Any) -> float:
        self._refuse_traced(value, "number")
        if callable(value):
            raise TypeError(f"{self.where} is static and takes no schedule, got {value!r}")
        return self._hyperparameter(value)

    def _refuse_traced(self, value: Any, expected: str) -> None:
        if isinstance(value, jax.core.Tracer):
            raise TypeError(
                f"{self.where} must be a static {expected}, got a traced value: it fixes the "
                "structure of the computation, so it cannot be an argument of a jitted function"
            )

    def _int(self, value: Any) -> int:
        self._refuse_traced(value, "int")
        if isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 0:
            value = value.item()
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            kinds = "an int or a schedule" if self.or_int else "an int"
            raise TypeError(f"{self.where} must be {kinds}, got {value!r}")
        return self._in_range(int(value))


def is_transformation(value: Any) -> bool:
    """Whether something has the contract: `init` and `update`, and is not a class."""
    return (
        not isinstance(value, type)
        and callable(getattr(value, "init", None))
        and callable(getattr(value, "update", None))
    )


def _plain_key(key: Any) -> Any:
    return key.item() if isinstance(key, np.generic) else key


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def roles_of(function: Callable[..., Any]) -> dict[str, Role]:
    """The role of every argument of a factory, in the order of its signature."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters
    for name, p in parameters.items():
        if p.kind is p.VAR_KEYWORD:
            raise TypeError(
                f"{function.__name__}: a declared factory names its arguments, got **{name}"
            )
    roles = {n: _role(function.__name__, p, hints.get(n, Any)) for n, p in parameters.items()}
    for role in roles.values():
        marked = any(isinstance(p, StaticMark) for p in _parts(hints.get(role.name, Any)))
        if role.kind == "static" and role.base is float and not marked:
            raise TypeError(
                f"{role.where} is annotated float, which would be static: annotate a number that "
                "may be traced, swept and scheduled as Hyperparameter, or with its range, as Rate"
            )
    return roles


def _role(owner: str, parameter: inspect.Parameter, hint: Any) -> Role:
    parts = list(_parts(hint))
    base, optional = _base(hint)
    kind: Any = "static"
    if any(isinstance(p, HyperparameterMark) for p in parts):
        kind = "hyperparameter"
    elif any(p is GradientTransformation for p in parts):
        kind = "transformation"
    elif any(isinstance(p, ScheduleMark) for p in parts):
        kind = "schedule"
    elif any(isinstance(p, DTypeMark) for p in parts):
        kind = "dtype"
    elif any(isinstance(p, KeyMark) for p in parts):
        kind = "key"
    origin = typing.get_origin(base)
    container = parameter.kind is parameter.VAR_POSITIONAL or (
        isinstance(origin, type) and issubclass(origin, collections.abc.Collection)
    )
    ranges = [p for p in parts if isinstance(p, Range)]
    limits = ranges[0] if ranges else None
    return Role(owner, parameter.name, kind, optional, container, limits, base)


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
