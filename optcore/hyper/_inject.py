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
    """The values of hyper-parameters, and the state of the transformation that uses them.

    Attributes:
      count: int32, updates made so far.
      hyperparams: float32 scalars by name: the values of the last step (before the first step,
        those of the first step). Values written here are used from the next step on, except those
        of schedules, which each step overwrites.
      hyperparams_states: for each schedule its current count, int32.
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
    """The transformation `made(values)`, with the values in the state.

    Args:
      numbers: the initial values.
      schedules: functions from the count to float32 scalars, which replace values.
      made: makes the transformation from the values, which are traced.
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
    """The names in the state, each with its path; a name is the last part of the path if unique."""
    static_args = (static_args,) if isinstance(static_args, str) else static_args
    own = inner.declaration.schedules()
    known = hyperparameters(inner, schedules_inside=False)
    paths = [path for path, value in known.items() if path in own or not callable(value)]
    for name in static_args:
        if not any(_ends(path, name) for path in paths):
            raise ValueError(
                f"inject: static_args names {name!r}, which is not a hyper-parameter of {inner!r}; "
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

    `set_hyperparams` can then replace them in the middle of a run, without recompiling, and they
    are saved and restored with the state. The arguments of `inner` are only the initial values. The
    state also holds the current values of schedules of `inner` itself; schedules further inside are
    not affected.

    A number in the state is float32: `1 - b2` at `b2 = 0.999` has a relative error of 7e-6, as in a
    sweep. `static_args` keeps a number out of the state, and so exact.

    Args:
      inner: any declared transformation, including a chain.
      static_args: names (or ends of paths) of hyper-parameters that stay constant.
      hyperparam_dtype: dtype of the values, float32 or wider; by default float32, whatever the
        dtype of the parameters.

    Raises:
      TypeError: `inner` is a plain pair, which declares no hyper-parameters.
      ValueError: `static_args` has an unknown name, the dtype is too narrow, or a transformation
        inside is already injected.

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
            "declares no hyper-parameters; inject_foreign takes the factory that made it"
        )
    if _injected_inside(inner):
        raise ValueError(f"inject: a transformation inside {inner!r} is already injected")
    declared: Any = inner
    leaves, treedef = jax.tree.flatten(inner)
    names = _chosen(declared, static_args)
    schedules = {n: s for n, s in declared.declaration.schedules().items() if n in names.values()}
    # Numbers that mark the position of each leaf.
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
    """The schedule, with a check that known values are in the range of its argument."""

    def value(count: jax.Array) -> jax.Array:
        found = evaluate(f"{inner.declaration.name}: {name}", schedule, count)
        inner.declaration.factory.roles[name].normalise(found)
        return found

    return value


def _injected_inside(tx: Any) -> bool:
    parts = (part.value for part in walk(tx) if is_declared(part.value))
    return any(part.declaration.factory.holds is not None for part in parts)
