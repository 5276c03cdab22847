"""Factories whose transformations keep their hyper-parameters in the state."""

import collections
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .._core import (
    Containing,
    DType,
    GradientTransformation,
    Hyperparameter,
    Schedule,
    adapt,
    evaluate,
    transformation,
    zero_count,
)
from ..compose import chain
from ..schedules import linear_schedule
from ..transforms import scale_by_learning_rate, trace
from ._inject import check_wide, held


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

    It is for factories that declare nothing, such as optax's; `inject` does it for declared
    transformations. In every step the factory is called with the values in the state, which are
    traced: it must not branch on them.

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
