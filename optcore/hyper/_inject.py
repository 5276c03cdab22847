"""Hyper-parameters in the state, where they can be replaced in the middle of a run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    HOLDERS,
    Declared,
    DType,
    GradientTransformation,
    Leafwise,
    Params,
    State,
    Updates,
    declare,
    evaluate,
    increment,
    is_declared,
    suggestion,
    transformation,
    walk,
    zero_count,
)
from ._read import hyperparameters


class InjectStatefulHyperparamsState(NamedTuple):
    """The values of hyper-parameters, and the state of what is made with them.

    Attributes:
      count: int32, updates made so far.
      hyperparams: float32 scalars by name: those used at the last step (before the first step,
        those that it will use). What is put there is used from the next step on, but for the
        values of schedules, which are written anew in each step.
      hyperparams_states: for each schedule the count that it is at, int32.
      inner_state: the state of the transformation itself.
    """

    count: jax.Array  # type: ignore[assignment]
    hyperparams: dict[str, Any]
    hyperparams_states: dict[str, jax.Array]
    inner_state: State


HOLDERS.add(InjectStatefulHyperparamsState)


def held(
    numbers: Mapping[str, Any],
    schedules: Mapping[str, Callable[[Any], Any]],
    made: Callable[[dict[str, Any]], GradientTransformation],
    dtype: Any,
) -> GradientTransformation:
    """The transformation `made(values)`, whose values live in the state.

    Args:
      numbers: the first values.
      schedules: in place of values, functions of the count to float32 scalars.
      made: gives the transformation for the values, which are traced.
      dtype: of the values; float32 if it is `None`.
    """

    def kept(value: Any) -> Any:
        # A copy, so that the state shares no buffer with an array among the hyper-parameters.
        return jax.tree.map(lambda x: jnp.array(x, dtype or jnp.float32), value)

    def scheduled(counts: Mapping[str, jax.Array]) -> dict[str, Any]:
        return {n: kept(s(counts[n])) for n, s in schedules.items()}

    def init(params: Params) -> InjectStatefulHyperparamsState:
        counts = {n: zero_count() for n in schedules}
        values = {**{n: kept(v) for n, v in numbers.items()}, **scheduled(counts)}
        inner_state = made(values).init(params)
        return InjectStatefulHyperparamsState(zero_count(), values, counts, inner_state)

    def update(
        updates: Updates,
        state: InjectStatefulHyperparamsState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, InjectStatefulHyperparamsState]:
        counts = state.hyperparams_states
        values = {**{n: kept(state.hyperparams[n]) for n in numbers}, **scheduled(counts)}
        updates, inner = made(values).update(updates, state.inner_state, params, **extra)
        counts = {n: increment(count) for n, count in counts.items()}
        return updates, InjectStatefulHyperparamsState(
            increment(state.count), values, counts, inner
        )

    return Leafwise(init, update)


def check_wide(name: str, dtype: Any) -> None:
    """Refuse a dtype that cannot hold a decay."""
    if dtype is not None and np.dtype(dtype).itemsize < 4:
        raise ValueError(
            f"{name}: hyperparam_dtype must be float32 or wider, got {np.dtype(dtype)}, in which "
            "0.999 is 1"
        )


def _chosen(inner: Declared, static_args: Sequence[str]) -> dict[str, str]:
    """The names in the state, each with its path: the last part of it where that is unique."""
    static_args = (static_args,) if isinstance(static_args, str) else static_args
    own = inner.declaration.schedules()
    known = hyperparameters(inner, schedules_inside=False)
    paths = [path for path, value in known.items() if path in own or not callable(value)]
    for name in static_args:
        if not any(_ends(path, name) for path in paths):
            raise ValueError(
                f"inject: static_args names {name!r}, which is no hyper-parameter of {inner!r}; "
                f"{suggestion(name, paths)}it has {', '.join(paths)}"
            )
    paths = [path for path in paths if not any(_ends(path, name) for name in static_args)]
    ends = [path.rpartition(".")[2] for path in paths]
    return {e if ends.count(e) == 1 else p: p for e, p in zip(ends, paths, strict=True)}


def _ends(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")


def _holds(arguments: Mapping[str, Any]) -> dict[str, str]:
    chosen = _chosen(arguments["inner"], arguments["static_args"])
    return {name: f"inner.{path}" for name, path in chosen.items()}


@transformation("wrapper", example={}, holds=_holds, per_example="inner")
def inject(
    inner: GradientTransformation,
    static_args: Sequence[str] = (),
    hyperparam_dtype: DType | None = None,
) -> GradientTransformation:
    """Keep the numeric hyper-parameters of a transformation in its state.

    There they can be replaced in the middle of a run, by `set_hyperparams`, without compiling
    anew; they are saved and restored with the state; and what stands in the arguments of `inner`
    are only the first values. Numbers given as schedules of `inner` itself stand there too, as
    the schedules left them; schedules further inside stay what they are.

    A number in the state is a float32 one: `1 - b2` at `b2 = 0.999` is off by 7e-6 of itself,
    as in a sweep. `static_args` keeps a number out of the state, and so exact.

    Args:
      inner: any declared transformation, also a chain.
      static_args: names (or ends of paths) of hyper-parameters that stay constants.
      hyperparam_dtype: of the values, float32 or wider; by default float32, whatever the
        parameters have.

    Raises:
      TypeError: `inner` is a plain pair, which declares no hyper-parameters.
      ValueError: `static_args` has an unknown name, the dtype is narrow, or something inside is
        injected already.

    >>> import jax.numpy as jnp, optcore
    >>> tx = inject(optcore.chain(optcore.clip(1.0), optcore.sgd(0.5)))
    >>> state = tx.init(jnp.zeros(()))
    >>> {name: value.item() for name, value in state.hyperparams.items()}
    {'max_delta': 1.0, 'learning_rate': 0.5}
    """
    check_wide("inject", hyperparam_dtype)
    if not is_declared(inner):
        raise TypeError(
            f"inject: expected a declared transformation, got a {type(inner).__name__}, which "
            "declares no hyper-parameters; inject_hyperparams(factory)(...) makes it itself"
        )
    if _injected_inside(inner):
        raise ValueError(f"inject: something inside {inner!r} is injected already")
    declared: Any = inner
    leaves, treedef = jax.tree.flatten(inner)
    names = _chosen(declared, static_args)
    schedules = {n: s for n, s in declared.declaration.schedules().items() if n in names.values()}
    # Numbers that say which leaf stands where.
    where = hyperparameters(treedef.unflatten(range(len(leaves))), schedules_inside=False)
    places = {name: where[path] for name, path in names.items() if path not in schedules}

    def made(values: dict[str, Any]) -> GradientTransformation:
        new = list(leaves)
        for name, place in places.items():
            for i, value in zip(jax.tree.leaves(place), jax.tree.leaves(values[name]), strict=True):
                new[i] = value
        tx = treedef.unflatten(new)
        arguments = dict(tx.declaration.arguments)
        arguments.update({p: values[n] for n, p in names.items() if p in schedules})
        return declare(tx.declaration.factory, arguments)

    numbers = {name: jax.tree.map(leaves.__getitem__, place) for name, place in places.items()}
    rates = {n: _checked(inner, p, schedules[p]) for n, p in names.items() if p in schedules}
    return held(numbers, rates, made, hyperparam_dtype)


def _checked(
    inner: Any, name: str, schedule: Callable[[Any], Any]
) -> Callable[[jax.Array], jax.Array]:
    """The schedule, whose values have to lie in the range of its argument where they are known."""

    def value(count: jax.Array) -> jax.Array:
        found = evaluate(f"{inner.declaration.name}: {name}", schedule, count)
        inner.declaration.factory.roles[name].normalise(found)
        return found

    return value


def _injected_inside(tx: Any) -> bool:
    parts = (part.value for part in walk(tx) if is_declared(part.value))
    return any(part.declaration.factory.holds is not None for part in parts)
