"""The outermost call of a declared transformation: checks, and compiled eager calls."""

import dataclasses
import functools
import threading
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from . import _checks
from ._agreement import check_summed, parted_like
from ._errors import ExplainedError
from ._factory import Factory
from ._frames import shorten
from ._mode import Mode, mode, within
from ._one_leaf import OneLeafError
from ._paths import refuse_one_leaf
from ._per_leaf import Leafwise
from ._placement import beside_slots, placed_init
from ._put import as_made
from ._structure import Structure, structure_of
from ._tape import Waiting, settle
from ._types import GradientTransformation, trained

PATIENCE = 2
"""Eager calls of one structure are compiled at once for this many sets of numbers. A further set,
or a part of an uncompiled transformation, is compiled only at its second call; otherwise a number
that changes in every call would be compiled each time."""

_counting = threading.Lock()


class Callee(Protocol):
    """The interface of a declared transformation that this module uses."""

    @property
    def name(self) -> str: ...
    @property
    def factory(self) -> Factory: ...
    def pair(self) -> GradientTransformation: ...
    def flatten(self) -> tuple[list[Any], Any]: ...


def init(declaration: Callee, params: Any) -> Any:
    """`init`, with the parameters checked if this is the outermost call."""
    if mode() != "outermost":
        _refuse_wrapped(declaration)
        return declaration.pair().init(params)
    try:
        _checks.check_params(declaration.name, params)
        with within("traced"):
            return placed_init(declaration.pair().init, params)
    except Exception as error:
        shorten(error)
        raise


def update(
    declaration: Callee, updates: Any, state: Any, params: Any, extra: Mapping[str, Any]
) -> tuple[Any, Any]:
    """`update`: the outermost call checks its arguments, and eager calls are compiled.

    The largest part in which everything is declared is compiled: a jit cached by value would keep
    old results of a plain function.
    """
    caller = mode()
    if caller == "outermost":
        try:
            return _eager_or_traced(declaration, updates, state, params, extra, caller)
        except Exception as error:
            shorten(error)
            raise
    _refuse_wrapped(declaration)
    if caller == "eager":
        return _eager_or_traced(declaration, updates, state, params, extra, caller)
    return _inner_update(declaration, updates, state, params, extra)


def _eager_or_traced(
    declaration: Callee,
    updates: Any,
    state: Any,
    params: Any,
    extra: Mapping[str, Any],
    caller: Mode,
) -> tuple[Any, Any]:
    structure = structure_of(declaration.flatten()[1])
    state = jax.tree.map(_as_array, state)
    trees = (updates, state, params, extra)
    repeated = again(declaration, trees, at_once=caller == "outermost")
    if repeated is not None:
        return _compiled_update(*repeated, *trees)
    if caller == "outermost":
        concrete = all(map(_is_concrete, jax.tree.leaves((declaration.flatten()[0], trees))))
        inner: Mode = "eager" if concrete else "traced"
        return _checked_update(declaration, structure, updates, state, params, extra, inner)
    return _inner_update(declaration, updates, state, params, extra)


def again(declaration: Callee, trees: Any, *, at_once: bool) -> tuple["Constant", list[Any]] | None:
    """The leading arguments of a compiled function for an eager call, before its trees.

    The result is `None` if the call is not compiled: something is traced or not declared, or the
    numbers have not occurred often enough.
    """
    leaves, treedef = declaration.flatten()
    structure = structure_of(treedef)
    extra = trees[-1]
    # A Python bool among the extras may be used in a branch.
    plain = not any(isinstance(x, bool) for x in jax.tree.leaves(extra))
    if not (plain and structure.pure and all(map(_is_concrete, jax.tree.leaves((leaves, trees))))):
        return None
    numbers = tuple(x if _is_number(x) else None for x in leaves)
    if not _comes_again(structure, numbers, at_once=at_once):
        return None
    return Constant(treedef, numbers), [x for x in leaves if not _is_number(x)]


def _as_array(x: Any) -> Any:
    """A Python number in a state as an array; an int counts steps."""
    if not _is_number(x) or isinstance(x, bool):
        return x
    small = isinstance(x, int) and abs(x) < 2**31
    return jnp.asarray(x, jnp.int32 if small else jnp.result_type(float))


def _comes_again(structure: Structure, numbers: tuple[float | None, ...], *, at_once: bool) -> bool:
    """Whether a compilation for these numbers is likely to be used more than once."""
    seen = structure.constants
    with _counting:
        calls = seen[numbers] = seen.pop(numbers, 0) + 1
        if len(seen) > 256:
            del seen[next(iter(seen))]
        return calls > PATIENCE or (at_once and len(seen) <= PATIENCE)


def _refuse_wrapped(declaration: Callee) -> None:
    """Raise if a transformation that must be outermost is called by another one."""
    if declaration.factory.outermost:
        name = declaration.name
        raise ValueError(
            f"{name} was called by another transformation, but must be outermost: it relies on its "
            f"updates being added to the parameters as they are; wrap the whole optimizer, "
            f"{name}(chain(...))"
        )


def _inner_update(
    declaration: Callee, updates: Any, state: Any, params: Any, extra: Mapping[str, Any]
) -> tuple[Any, Any]:
    _checks.check_needs(declaration.name, declaration.factory.needs, params, extra)
    try:
        return call(declaration.pair(), updates, state, params, extra)
    except OneLeafError as error:
        raise TypeError(f"{declaration.name}: {error}") from None


def call(
    pair: GradientTransformation,
    updates: Any,
    state: Any,
    params: Any,
    extra: Mapping[str, Any],
) -> tuple[Any, Any]:
    """A pair's `update`; only a leafwise one gets and returns updates that still wait on a tape.

    For a body that returns a declared transformation, that transformation decides. A pair that is
    not leafwise gets only arrays.
    """
    leafwise = isinstance(pair, Leafwise) or hasattr(pair, "declaration")
    if not leafwise:
        updates = settle(updates)
        refuse_one_leaf(updates)
    result = pair.update(updates, state, params, **extra)
    return result if leafwise and isinstance(updates, Waiting) else settle(result)


@dataclasses.dataclass(frozen=True)
class Constant:
    """A declared transformation without its arrays, hashed by value."""

    treedef: Any
    leaves: tuple[float | None, ...]

    def with_arrays(self, arrays: list[Any]) -> Any:
        rest = iter(arrays)
        return self.treedef.unflatten([next(rest) if x is None else x for x in self.leaves])


@functools.partial(jax.jit, static_argnums=0)
def _compiled_update(
    constant: Constant, arrays: list[Any], updates: Any, state: Any, params: Any, extra: Any
) -> Any:
    declaration = constant.with_arrays(arrays).declaration
    structure = structure_of(constant.treedef)
    return _checked_update(declaration, structure, updates, state, params, extra, "traced")


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float))


def _is_concrete(x: Any) -> bool:
    if isinstance(x, jax.core.Tracer):
        return False
    if isinstance(x, np.ndarray):
        return x.dtype != jax.dtypes.float0 and x.dtype != object
    return isinstance(x, (jax.Array, np.generic, bool, int, float, complex))


def _checked_update(
    declaration: Callee,
    structure: Structure,
    updates: Any,
    state: Any,
    params: Any,
    extra: Mapping[str, Any],
    inner: Mode,
) -> tuple[Any, Any]:
    name, expected, per_example = declaration.name, structure.skeleton, structure.per_example
    exactly = functools.partial(_exact_skeleton, declaration, updates if params is None else params)
    fitting = _checks.check_state(name, expected, exactly, state, updates, params)
    state = as_made(name, fitting, state)
    if extra:
        _checks.check_names(name, structure.contents.takes, extra)
    _checks.check_needs(name, declaration.factory.needs, params, extra)
    updates = _checks.check_updates(f"{name}.update", updates, trained(params), per_example)
    updates = parted_like(updates, params)
    updates, params = beside_slots(declaration.pair(), updates, state, params)
    try:
        with within(inner):
            new_updates, new_state = _inner_update(declaration, updates, state, params, extra)
    except ExplainedError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        _checks.explain_failure(name, expected, exactly, state, error)
        raise
    _checks.check_result(name, updates, trained(new_updates), per_example)
    check_summed(name, trained(new_updates), params)
    _checks.check_state_kept(name, exactly, state, new_state)
    return new_updates, new_state


def _exact_skeleton(declaration: Callee, params: Any) -> Any:
    """The abstract state for these parameters, or `None` where `init` cannot work on them."""
    try:
        with within("traced"):
            return jax.eval_shape(declaration.pair().init, params)
    except Exception:
        return None
