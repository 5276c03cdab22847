"""The marks in annotations of arguments: kind, range, and normalisation of values."""

import abc
import dataclasses
import math
import typing
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Protocol

import jax
import numpy as np

from ._keys import is_key
from ._numerics import whole

RoleKind = Literal["hyperparameter", "transformation", "schedule", "dtype", "key", "static"]


@dataclasses.dataclass(frozen=True)
class Range:
    """The interval of valid concrete values; `low` is included, `high` depending on `closed`.

    It belongs to an annotation: `Annotated[Hyperparameter, Range(0, 1, closed=True)]`.

    Args:
      low: the smallest legal value.
      high: the upper end, by default infinity.
      closed: whether `high` itself is legal.
      open_low: whether `low` itself is illegal.

    >>> print(Range(0, 1), 1.0 in Range(0, 1))
    [0, 1) False
    """

    low: float = -math.inf
    high: float = math.inf
    closed: bool = False
    open_low: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        return above and (value <= self.high if self.closed else value < self.high)

    def __str__(self) -> str:
        left = "(" if self.open_low or math.isinf(self.low) else "["
        return f"{left}{_short(self.low)}, {_short(self.high)}{']' if self.closed else ')'}"


def _short(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else f"{number:g}"


class Argument(Protocol):
    """The properties of an annotated argument that a mark needs."""

    @property
    def where(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def base(self) -> Any: ...
    @property
    def container(self) -> bool: ...
    @property
    def range(self) -> Range | None: ...
    @property
    def or_int(self) -> bool: ...


class Mark(abc.ABC):
    """Metadata of an `Annotated` argument; found by type."""

    kind: ClassVar[RoleKind]

    @abc.abstractmethod
    def kept(self, role: Argument, value: Any) -> Any:
        """The normalised value; raises a `TypeError` or `ValueError` that names the argument."""


@dataclasses.dataclass(frozen=True)
class HyperparameterMark(Mark):
    """This argument is a leaf of the declared pytree."""

    kind = "hyperparameter"

    def kept(self, role: Argument, value: Any) -> Any:
        if isinstance(value, jax.core.Tracer):
            _refuse_complex(role, value)
            return value
        if callable(value):
            _refuse_uncalled(role, value)
            return value
        if isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{role.where} must be a number, got the bool {value}")
        if isinstance(value, (int, float, np.integer, np.floating)):
            return _in_range(role, _float(role, value))
        if isinstance(value, (np.ndarray, jax.Array)):
            _refuse_complex(role, value)
            return _in_range(role, float(value)) if value.ndim == 0 else value
        hint = ""
        if isinstance(value, str):
            hint = f"; did you mean {value} without quotes?" if _is_number(value) else ""
        raise TypeError(
            f"{role.where} must be a number, a scalar array or a schedule (count -> value), "
            f"got {value!r} of type {type(value).__name__}{hint}"
        )


@dataclasses.dataclass(frozen=True)
class TransformationMark(Mark):
    """This argument holds gradient transformations; it is implied by their type."""

    kind = "transformation"

    def kept(self, role: Argument, value: Any) -> Any:
        if is_transformation(value):
            return value
        cause = ""
        if callable(value):
            cause = "; it is a function: was it meant to be called, as in adam(1e-3)?"
        elif isinstance(value, (list, tuple)):
            cause = f"; unpack it: {role.owner}(*{role.name})"
        raise TypeError(
            f"{role.where} must hold gradient transformations, which have `init` and `update`, "
            f"got {value!r} of type {type(value).__name__}{cause}"
        )


@dataclasses.dataclass(frozen=True)
class ScheduleMark(Mark):
    """This argument is a function of the step count."""

    kind = "schedule"

    def kept(self, role: Argument, value: Any) -> Any:
        if callable(value):
            _refuse_uncalled(role, value)
        elif role.or_int:
            return _int(role, value)
        else:
            several = isinstance(value, (list, tuple))
            cause = "unpack it: f(*schedules)" if several else f"constant_schedule({value!r})"
            raise TypeError(
                f"{role.where} must be a schedule, a function count -> value, got {value!r}; "
                f"did you mean {cause}?"
            )
        return value


@dataclasses.dataclass(frozen=True)
class DTypeMark(Mark):
    """This argument is a dtype; it is compared and printed as a dtype."""

    kind = "dtype"

    def kept(self, role: Argument, value: Any) -> Any:
        try:
            dtype = np.dtype(value)
        except TypeError as error:
            raise TypeError(f"{role.where} must be a dtype, got {value!r}") from error
        if not jax.numpy.issubdtype(dtype, np.floating):
            raise TypeError(f"{role.where} must be a real floating-point dtype, got {dtype}")
        return dtype


@dataclasses.dataclass(frozen=True)
class KeyMark(Mark):
    """This argument is a typed random key."""

    kind = "key"

    def kept(self, role: Argument, value: Any) -> Any:
        if not is_key(value) or value.ndim:
            raise TypeError(
                f"{role.where} must be one typed random key, such as jax.random.key(0), "
                f"got {value!r}"
            )
        return value


@dataclasses.dataclass(frozen=True)
class StaticMark(Mark):
    """This argument is static: it shapes the computation, so it cannot be traced or swept."""

    kind = "static"

    def kept(self, role: Argument, value: Any) -> Any:
        _refuse_unseen(role, value)
        if typing.get_origin(role.base) is Literal:
            if value not in role.base.__args__:
                options = ", ".join(map(repr, role.base.__args__))
                raise ValueError(f"{role.where} must be one of {options}, got {value!r}")
            return value
        if role.container and isinstance(value, list):
            value = tuple(value)
        if isinstance(value, (dict, list)):
            # A copy, which does not change when the caller's container does.
            value = jax.tree.map(lambda x: x, value)
        if role.base is bool:
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{role.where} must be True or False, got {value!r}")
            return bool(value)
        if role.base is int:
            return _int(role, value)
        if role.base is float:
            return _static_float(role, value)
        if role.container and role.range is not None:
            if not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
                raise TypeError(f"{role.where} must be a sequence of ints, got {value!r}")
            return tuple(_int(role, v) for v in value)
        return value


def _refuse_unseen(role: Argument, value: Any) -> None:
    """Raise if a transformation is hidden in an argument that is not annotated to hold one.

    An annotation that states what the argument holds, such as a mapping of anything, is trusted.
    """
    if role.base not in (Any, object):
        return
    members = value.values() if isinstance(value, dict) else value
    several = isinstance(value, (dict, list, tuple)) and not is_transformation(value)
    for member in members if several else (value,):
        if is_transformation(member):
            raise TypeError(
                f"{role.where} holds the transformation {member!r} and is not annotated as holding "
                "one, so its state, its facts and its hyper-parameters would not be seen: annotate "
                "the argument with GradientTransformation"
            )


def is_transformation(value: Any) -> bool:
    """Whether something has the contract: `init` and `update`, and is not a class."""
    return (
        not isinstance(value, type)
        and callable(getattr(value, "init", None))
        and callable(getattr(value, "update", None))
    )


def _static_float(role: Argument, value: Any) -> float:
    _refuse_traced(role, value, "number")
    if callable(value):
        raise TypeError(f"{role.where} is static and cannot be a schedule, got {value!r}")
    return HyperparameterMark().kept(role, value)


def _refuse_uncalled(role: Argument, value: Any) -> None:
    if isinstance(value, type) or hasattr(value, "declared_by"):
        raise TypeError(
            f"{role.where} must be a number or a schedule, got the factory {value.__name__}; "
            "was it meant to be called?"
        )


def _refuse_complex(role: Argument, value: Any) -> None:
    real = jax.numpy.issubdtype(value.dtype, np.number)
    if not real or jax.numpy.issubdtype(value.dtype, np.complexfloating):
        raise TypeError(f"{role.where} must be a real number, got an array of {value.dtype}")


def _refuse_traced(role: Argument, value: Any, expected: str) -> None:
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{role.where} must be a static {expected}, got a traced value: it fixes the "
            "structure of the computation, so it cannot be an argument of a jitted function"
        )


def _float(role: Argument, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{role.where} must fit in a float, got {value}") from None


def _int(role: Argument, value: Any) -> int:
    _refuse_traced(role, value, "int")
    number = whole(value)
    if number is None:
        kinds = "an int or a schedule" if role.or_int else "an int"
        raise TypeError(f"{role.where} must be {kinds}, got {value!r}")
    return _in_range(role, number)


def _in_range(role: Argument, value: Any) -> Any:
    if role.range is not None and value not in role.range:
        cause = ""
        if math.isnan(value):
            cause = "; a NaN usually comes from an earlier computation"
        elif value < 0 <= role.range.low and role.name == "learning_rate":
            cause = "; the sign of a step is set by the optimizer, not by this argument"
        raise ValueError(f"{role.where} must lie in {role.range}, got {value}{cause}")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{role.where} must be a number, got nan")
    if role.range is None and isinstance(value, float) and math.isinf(value):
        raise ValueError(f"{role.where} must be finite, got {value}")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
