"""Factories whose transformations keep their hyper-parameters in the state."""

import collections
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    Containing,
    DeclaredTransformation,
    DType,
    GradientTransformation,
    Hyperparameter,
    Schedule,
    adapt,
    evaluate,
    is_transformation,
    suggestion,
    transformation,
    zero_count,
)
from ..compose import chain
from ..schedules import linear_schedule
from ..transforms import scale_by_learning_rate, trace
from ._inject import check_wide, held, inject

P = ParamSpec("P")


def _sgd(learning_rate: Any, momentum: Any, nesterov: bool) -> GradientTransformation:
    """A factory that is not declared."""
    return chain(trace(momentum, nesterov=nesterov), scale_by_learning_rate(learning_rate))


def _injected_sgd() -> GradientTransformation:
    rate = linear_schedule(0.1, 0.05, 8)
    return inject_foreign(_sgd, {"momentum": 0.5}, {"learning_rate": rate}, {"nesterov": True})


def _holds_foreign(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: f"{kind}.{name}"
        for kind in ("hyperparams", "schedules")
        for name in arguments[kind] or ()
    }


@transformation("transform", example=_injected_sgd, holds=_holds_foreign)
def inject_foreign(
    factory: Callable[..., Any],
    hyperparams: Mapping[str, Hyperparameter],
    schedules: Mapping[str, Schedule] | None = None,
    static: Mapping[str, Any] | None = None,
    hyperparam_dtype: DType | None = None,
) -> GradientTransformation:
    """Keep numeric arguments of any factory in the state of what it makes.

    `inject_hyperparams` calls it for factories that declare nothing, such as optax's. In every
    step the factory is called with the values in the state, which are traced: it must not branch
    on them.

    Args:
      factory: called with all arguments by name; returns a pair of `init` and `update`.
      hyperparams: the arguments that live in the state, with their first values.
      schedules: arguments that are functions of the step count.
      static: all other arguments; plain functions are compared by identity.
      hyperparam_dtype: of the values, float32 or wider; by default float32.

    Raises:
      TypeError: the factory does not take these arguments.
      ValueError: the dtype is narrow.

    >>> import jax.numpy as jnp, optcore
    >>> tx = inject_foreign(lambda rate: optcore.scale(-rate), {"rate": 0.5})
    >>> state = tx.init(jnp.zeros(()))
    >>> state.hyperparams["rate"] = 0.25
    >>> tx.update(jnp.ones(()), state)[0].item()
    -0.25
    """
    check_wide("inject_foreign", hyperparam_dtype)
    signature = inspect.signature(factory)

    def made(values: dict[str, Any]) -> GradientTransformation:
        arguments = {**(static or {}), **values}
        bound: dict[str, Any] = {}
        for name, parameter in signature.parameters.items():
            if name in arguments:
                bound[name] = arguments.pop(name)
            elif parameter.kind is parameter.VAR_KEYWORD:
                bound[name], arguments = arguments, {}
        if arguments:
            raise TypeError(
                f"inject_foreign: {_name(factory)} takes no argument {next(iter(arguments))!r}; "
                f"it takes {', '.join(signature.parameters)}"
            )
        call = inspect.BoundArguments(signature, collections.OrderedDict(bound))
        return adapt(factory(*call.args, **call.kwargs))

    rates = {n: functools.partial(evaluate, n, s) for n, s in (schedules or {}).items()}
    pair = held(hyperparams, rates, made, hyperparam_dtype)

    def inside() -> list[GradientTransformation]:
        return [made({**hyperparams, **{n: rate(zero_count()) for n, rate in rates.items()}})]

    return Containing(pair.init, pair.update, inside)


def _name(factory: Any) -> str:
    return getattr(factory, "__name__", repr(factory))


def inject_hyperparams(
    inner_factory: Callable[P, Any],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: DType | None = None,
) -> Callable[P, DeclaredTransformation]:
    """The same factory, whose transformations keep their hyper-parameters in the state.

    Of a factory that is declared, all that its annotations call hyper-parameters are in the
    state, with no exceptions to list (see `inject`); arguments that are transformations have
    theirs there too. Of any other one (optax's, a function of your own) it is decided by what an
    argument is given: floating-point numbers are hyper-parameters; an `int` is one only where the
    default is a float; a function is a schedule if it makes a real number of a step count; all
    else is static.

    Args:
      inner_factory: makes a transformation.
      static_args: a name, or several, of arguments that stay constants.
      hyperparam_dtype: of the values, float32 or wider; by default float32, whatever the
        parameters have.

    Returns:
      A function that takes the arguments of `inner_factory`.

    Raises:
      TypeError: `inner_factory` is a transformation and not a factory.
      ValueError: `static_args` has an unknown name, or the dtype is narrow.

    The rate is replaced between two steps, which stay one compiled function:

    >>> import jax, jax.numpy as jnp, optcore
    >>> tx = inject_hyperparams(optcore.sgd)(0.5, momentum=0.9)
    >>> state, step = tx.init(jnp.zeros(())), jax.jit(tx.update)
    >>> update, state = step(jnp.ones(()), state)
    >>> state.hyperparams["learning_rate"] = jnp.float32(0.0)
    >>> update.item(), step(jnp.ones(()), state)[0].item()
    (-0.5, 0.0)
    """
    constant = (static_args,) if isinstance(static_args, str) else tuple(static_args)
    if is_transformation(inner_factory):
        raise TypeError(
            f"inject_hyperparams takes a factory, got the transformation {inner_factory!r}; "
            "inject(tx) takes that, if it is declared"
        )
    declared = hasattr(inner_factory, "declared_by")
    parameters = inspect.signature(inner_factory).parameters
    for name in constant:
        if not declared and name not in parameters:
            raise ValueError(
                f"inject_hyperparams: static_args names {name!r}, which is no argument of "
                f"{_name(inner_factory)}; {suggestion(name, parameters)}"
                f"it takes {', '.join(parameters)}"
            )

    @functools.wraps(inner_factory, updated=())
    def injected(*args: Any, **kwargs: Any) -> DeclaredTransformation:
        if declared:
            return inject(inner_factory(*args, **kwargs), constant, hyperparam_dtype)
        bound = inspect.signature(inner_factory).bind(*args, **kwargs)
        bound.apply_defaults()
        kinds: dict[str, dict[str, Any]] = {"hyperparams": {}, "schedules": {}, "static": {}}
        for name, parameter in parameters.items():
            given = bound.arguments[name]
            named = given if parameter.kind is parameter.VAR_KEYWORD else {name: given}
            for key, value in named.items():
                kind = "static" if key in constant else _kind(value, parameter.default)
                kinds[kind][key] = value
        return inject_foreign(inner_factory, **kinds, hyperparam_dtype=hyperparam_dtype)

    return injected


def _kind(value: Any, default: Any) -> str:
    """What an argument of a factory that declares nothing is."""
    if isinstance(value, (bool, np.bool_, type)) or is_transformation(value):
        return "static"
    if isinstance(value, (int, np.integer)):
        return "hyperparams" if isinstance(default, float) else "static"
    if isinstance(value, (float, np.floating)):
        return "hyperparams"
    if isinstance(value, (np.ndarray, jax.Array)):
        number = not value.ndim and jnp.issubdtype(value.dtype, jnp.floating)
        return "hyperparams" if number else "static"
    return "schedules" if callable(value) and _is_schedule(value) else "static"


def _is_schedule(function: Callable[..., Any]) -> bool:
    try:
        result = jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.int32))
    except Exception:
        return False
    real = hasattr(result, "dtype") and jnp.issubdtype(result.dtype, jnp.floating)
    return real and result.shape == ()
