"""The decorators that declare a factory."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from ._declared import DeclaredSchedule, DeclaredTransformation, declare
from ._factory import REGISTRY, Factory
from ._facts import Facts
from ._help import shown_signature
from ._roles import roles_of
from ._types import GradientTransformation, Schedule

P = ParamSpec("P")


class transformation(Facts):  # noqa: N801 (a decorator)
    """Declare a factory of gradient transformations, with its facts.

    The body consists of plain closures over its arguments. The decorator turns its result into a
    pytree of its hyper-parameters that is compared, hashed and printed by value. It adds schedules
    for every `Hyperparameter`, checks of arguments and calls, an entry in the registry, and a
    config.

    Args:
      kind: `"optimizer"` (its updates are steps), `"direction"` (without rate and sign),
        `"transform"`, or `"wrapper"` (of other transformations).
      example: keyword arguments of a sensible instance, or a function that makes one. An omitted
        transformation is momentum.
      **facts: see `Facts`, which lists them.

    Raises:
      TypeError: an argument is a bare `float` (it would be static), or the signature has `**`;
        there is no such fact.
      ValueError: there is no such kind or stage, or two of optcore's factories have the same name.

    >>> from optcore import GradientTransformation, Rate, map_leaves, stateless
    >>> @transformation("transform", example={"rate": 0.5})
    ... def shrink(rate: Rate) -> GradientTransformation:
    ...     return stateless(lambda updates, params: map_leaves(lambda g: rate * g, updates))
    >>> shrink(0.5), shrink(0.5) == shrink(0.5), shrink(0.5) == shrink(0.25)
    (shrink(rate=0.5), True, False)
    """

    def __call__(
        self, function: Callable[P, GradientTransformation]
    ) -> Callable[P, DeclaredTransformation]:
        """The factory, declared."""
        return _register(function, self)


def schedule(
    *, example: Mapping[str, Any] | Callable[[], Any]
) -> Callable[[Callable[P, Schedule]], Callable[P, DeclaredSchedule]]:
    """Declare a factory of schedules; the body returns a function of an int32 count.

    Args:
      example: keyword arguments of a sensible instance, or a function that makes one.

    >>> import jax.numpy as jnp
    >>> from optcore import Rate, Schedule
    >>> @schedule(example={"rate": 1.0})
    ... def harmonic(rate: Rate) -> Schedule:
    ...     return lambda count: rate / (1 + count)
    >>> harmonic(1.0)(jnp.arange(3)).tolist()
    [1.0, 0.5, 0.3333333432674408]
    """

    def decorate(function: Callable[P, Schedule]) -> Callable[P, DeclaredSchedule]:
        return _register(function, Facts("schedule", example=example))

    return decorate


def _register(function: Callable[P, Any], facts: Facts) -> Callable[P, Any]:
    library = __name__.partition(".")[0]
    own = function.__module__.partition(".")[0] == library
    key = f"{library if own else function.__module__}:{function.__qualname__}"

    @functools.wraps(function)
    def declaring(*args: Any, **kwargs: Any) -> Any:
        declared = declare(factory, factory.bind(*args, **kwargs))
        declared.declaration.build()
        return declared

    def example() -> Any:
        given = facts.example
        return given() if callable(given) else declaring(**factory.example_inner(given), **given)

    factory = Factory(
        **{**vars(facts), "example": example},
        name=function.__name__,
        key=key,
        function=function,
        signature=inspect.signature(function),
        roles=roles_of(function),
    )
    declaring.declared_by = factory  # type: ignore[attr-defined]
    declaring.__signature__ = shown_signature(function)  # type: ignore[attr-defined]
    if own and key in REGISTRY:
        raise ValueError(f"two factories are called {key}")
    REGISTRY[key] = factory

    return declaring
