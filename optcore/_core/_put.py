"""Conversion of values that were put into a state by hand to the types from `init`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._paths import what_it_is
from ._scheduled import is_holder


def as_made(name: str, expected: Any, state: Any) -> Any:
    """The state with numbers that were put there by hand converted to the types from `init`.

    These are hyper-parameters, whose types do not depend on the parameters, and ints in place of
    real numbers.

    Args:
      name: of the transformation.
      expected: an abstract state; values that do not fit it are not changed.
      state: what came.

    Raises:
      TypeError: a hyper-parameter is not a real number.
      ValueError: a hyper-parameter has the wrong shape.
    """
    if isinstance(expected, jax.ShapeDtypeStruct):
        return state.astype(expected.dtype) if _is_int_for_real(expected, state) else state
    if type(expected) is not type(state):
        return state
    if hasattr(expected, "_fields"):
        members = dict(zip(expected._fields, zip(expected, state, strict=True), strict=True))
        new = {n: as_made(name, *pair) for n, pair in members.items() if n != "hyperparams"}
        if "hyperparams" in members:
            made, given = members["hyperparams"]
            held = is_holder(expected)
            new["hyperparams"] = (
                {n: _held(name, n, e, given[n]) for n, e in made.items()}
                if held
                else as_made(name, made, given)
            )
        return state._replace(**new)
    if isinstance(expected, (tuple, list)) and len(expected) == len(state):
        return type(state)(as_made(name, e, s) for e, s in zip(expected, state, strict=True))
    if type(expected) is dict:
        return {k: as_made(name, expected.get(k), s) for k, s in state.items()}
    return state


def _is_int_for_real(expected: jax.ShapeDtypeStruct, value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    whole = dtype is not None and jnp.issubdtype(dtype, np.integer)
    return whole and not value.ndim and jnp.issubdtype(expected.dtype, np.floating)


def _held(name: str, key: str, expected: Any, value: Any) -> Any:
    wanted, treedef = jax.tree.flatten(expected)
    several = isinstance(expected, (tuple, list))
    numbers = list(value) if several and isinstance(value, (tuple, list)) else [value]
    where = f"{name}.update: hyperparams[{key!r}] in the state"
    if len(numbers) != len(wanted):
        raise ValueError(f"{where} must be {len(wanted)} numbers, got {what_it_is(value)}")
    return treedef.unflatten(_number(where, w, n) for w, n in zip(wanted, numbers, strict=True))


def _number(where: str, expected: Any, value: Any) -> jax.Array:
    dtype = getattr(value, "dtype", np.result_type(type(value)) if _is_python(value) else None)
    if dtype is None or not any(jnp.issubdtype(dtype, k) for k in (np.integer, np.floating)):
        cause = ""
        if callable(value):
            cause = "; give a schedule to the factory instead, in place of the number"
        raise TypeError(f"{where} must be a real number, got {what_it_is(value)}{cause}")
    if np.shape(value) != expected.shape:
        raise ValueError(
            f"{where} must be {what_it_is(expected)}, got {what_it_is(value)}; a state of several "
            "optimizers is used under jax.vmap"
        )
    return jnp.asarray(value).astype(expected.dtype)


def _is_python(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
