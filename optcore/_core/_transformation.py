"""The decorators that declare a factory."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ._declared import declare
from ._factory import KINDS, REGISTRY, STAGES, Factory, Kind, Stage
from ._roles import roles_of

F = TypeVar("F", bound=Callable[..., Any])


def transformation(
    kind: Kind,
    *,
    example: Mapping[str, Any] | Callable[[], Any],
    needs: tuple[str, ...] = (),
    real_only: bool = False,
    per_example: bool = False,
    stage: Stage | None = None,
    uses: tuple[str, ...] | Callable[[Mapping[str, Any]], tuple[str, ...] | None] = (),
    holds: Callable[[Mapping[str, Any]], dict[str, str]] | None = None,
    strict: bool = False,
    outermost: bool = False,
) -> Callable[[F], F]:
    """Declare a factory of gradient transformations.

    The body stays plain closures over its arguments; the decorator makes what it returns a
    pytree of its hyper-parameters, compared, hashed and printed by value, with schedules on
    every `Hyperparameter`, checks of arguments and calls, a place in the registry and a config.

    Args:
      kind: `"optimizer"` (its updates are steps), `"direction"` (without rate and sign),
        `"transform"`, or `"wrapper"` (of other transformations).
      example: keyword arguments of a sensible instance, or a function that makes one; the
        conformance suite runs on it. A required transformation that is left out is momentum.
      needs: what `update` must be given, such as `("params",)`.
      real_only: the algorithm has no meaning for complex parameters.
      per_example: `update` takes updates with one gradient per example along a first axis.
      stage: what a chain must know of a transform to refuse nonsense: that it turns directions
        into steps (`"rate"`, unless its argument `flip_sign` is False), that it adds to a
        direction of ascent what shrinks weights (`"decay"`), that it moves parameters whose
        update is zero (`"drift"`), or that it makes updates zero (`"freeze"`).
      uses: the extra arguments that `update` uses if they are there, or a function that says so
        of the factory's arguments by name, `None` for anything. What `update` names in its
        signature needs no mention, nor what the transformations use that the factory is given or
        returns.
      holds: for a wrapper whose state has a field `hyperparams`: a function of the factory's
        arguments by name that says which hyper-parameters are in it, as a dict from key to path.
      strict: `update` refuses extra arguments that nothing in it takes.
      outermost: nothing may wrap it, since it relies on its updates being added as they are.

    Raises:
      TypeError: an argument is a bare `float` (it would be static), or the signature has `**`.
      ValueError: there is no such kind or stage, or two of optcore's factories have the same name.

    >>> from optcore import GradientTransformation, Rate, map_leaves, stateless
    >>> @transformation("transform", example={"rate": 0.5})
    ... def shrink(rate: Rate) -> GradientTransformation:
    ...     return stateless(lambda updates, params: map_leaves(lambda g: rate * g, updates))
    >>> shrink(0.5), shrink(0.5) == shrink(0.5), shrink(0.5) == shrink(0.25)
    (shrink(rate=0.5), True, False)
    """
    if kind not in KINDS:
        raise ValueError(f"transformation: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if stage is not None and stage not in STAGES:
        raise ValueError(f"transformation: stage must be one of {', '.join(STAGES)}, got {stage!r}")

    def decorate(function: F) -> F:
        return _register(
            function,
            kind,
            example,
            needs=needs,
            real_only=real_only,
            per_example=per_example,
            stage=stage,
            uses=uses if callable(uses) else lambda arguments: uses,
            holds=holds,
            strict=strict,
            outermost=outermost,
        )

    return decorate


def schedule(*, example: Mapping[str, Any] | Callable[[], Any]) -> Callable[[F], F]:
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

    def decorate(function: F) -> F:
        return _register(function, "schedule", example)

    return decorate


def _register(
    function: F,
    kind: Kind,
    example: Any,
    *,
    needs: tuple[str, ...] = (),
    real_only: bool = False,
    per_example: bool = False,
    stage: Stage | None = None,
    uses: Callable[[Mapping[str, Any]], tuple[str, ...] | None] = lambda arguments: (),
    holds: Callable[[Mapping[str, Any]], dict[str, str]] | None = None,
    strict: bool = False,
    outermost: bool = False,
) -> F:
    library = __name__.partition(".")[0]
    own = function.__module__.partition(".")[0] == library
    key = f"{library if own else function.__module__}:{function.__qualname__}"

    @functools.wraps(function)
    def declaring(*args: Any, **kwargs: Any) -> Any:
        declared = declare(factory, factory.bind(*args, **kwargs))
        declared.declaration.build()
        return declared

    factory = Factory(
        name=function.__name__,
        key=key,
        kind=kind,
        function=function,
        signature=inspect.signature(function),
        roles=roles_of(function),
        needs=needs,
        example=(
            example
            if callable(example)
            else lambda: declaring(**factory.example_inner(example), **example)
        ),
        real_only=real_only,
        per_example=per_example,
        stage=stage,
        uses=uses,
        holds=holds,
        strict=strict,
        outermost=outermost,
    )
    declaring.declared_by = factory  # type: ignore[attr-defined]
    if own and key in REGISTRY:
        raise ValueError(f"two factories are called {key}")
    REGISTRY[key] = factory

    return cast(F, declaring)
