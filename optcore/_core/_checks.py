"""Checks at trace time: arguments in the wrong places, wrong trees, shapes and dtypes.

They cost nothing at run time. Every message names the path, what was expected, what came, and
the likely cause.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._agreement import manual_axes, refuse_differing
from ._errors import MissingArgumentError
from ._flatten_like import flatten_like
from ._numerics import is_inexact, wide
from ._one_leaf import OneLeaf
from ._paths import differences, is_leaf, listed, named_leaves, what_it_is
from ._scheduled import holders_in
from ._tape import is_absent

CALL = "the call is tx.update(updates, state, params=params)"


class Caller(NamedTuple):
    """The words in hints for the function that was called with updates and parameters.

    Attributes:
      call: the correct call.
      updates: its word for updates.
      origin: the source of the updates.
    """

    call: str
    updates: str
    origin: str


UPDATE = Caller(CALL, "gradients", "gradients come from jax.grad at the same parameters")
APPLY = Caller(
    "the call is apply_updates(params, updates)",
    "updates",
    "updates are the first result of tx.update for the same parameters",
)


def check_params(name: str, params: Any) -> None:
    """Every leaf of the parameters must be an array, a number or an abstract array."""
    for path, leaf in named_leaves(params):
        if leaf is None or hasattr(leaf, "dtype") or isinstance(leaf, (int, float, complex)):
            continue
        raise TypeError(
            f"{name}.init: parameter {path!r} is {what_it_is(leaf)}, expected an array; "
            "keep what is not a parameter out of the tree (with Equinox: eqx.filter)"
        )


def check_needs(name: str, needs: tuple[str, ...], params: Any, extra: Mapping[str, Any]) -> None:
    """The arguments that a transformation needs must have been given."""
    if "params" in needs and params is None:
        raise MissingArgumentError(
            f"{name} needs the parameters, got params=None: {CALL}; inside optax.chain or a "
            "wrapper, check that it passes `params` on"
        )
    for need in needs:
        if need != "params" and extra.get(need) is None:
            raise MissingArgumentError(
                f"{name} needs {need!r}, which was not given: call "
                f"tx.update(updates, state, params=params, {need}=...); optax.chain drops extra "
                "arguments on their way to transformations that it does not know"
            )


def check_names(name: str, takes: set[str], extra: Mapping[str, Any]) -> None:
    """Refuse an extra argument whose name looks like a misspelled one.

    Names unlike any known one may be meant for other transformations.
    """
    missing = sorted(takes - extra.keys())
    for given in sorted(extra.keys() - takes):
        # Closer than `value_fn` is to `value`.
        near = difflib.get_close_matches(given, missing, 1, cutoff=0.8)
        if near:
            raise TypeError(
                f"{name}.update: nothing takes {given!r}; did you mean {near[0]!r}? "
                f"It takes {', '.join(map(repr, sorted(takes)))}"
            )


def real_scalar(name: str, value: Any) -> jax.Array:
    """The `value` that `update` was given, as an array."""
    found = jnp.asarray(value)
    if found.ndim or jnp.iscomplexobj(found):
        raise ValueError(
            f"{name}: value must be a real scalar, such as the mean loss, got {what_it_is(found)}; "
            "did you forget the mean over the batch?"
        )
    refuse_differing(name, "value", found)
    return found


def check_state(
    name: str, expected: Any, exactly: Callable[[], Any], state: Any, updates: Any, params: Any
) -> Any:
    """The state must be of the kind that this transformation's `init` makes.

    Args:
      name: of the transformation.
      expected: the state for a scalar parameter, or `None` if there is none.
      exactly: returns the abstract state for the real parameters, which is more expensive and used
        only if the first comparison fails.
      state: the state to check.
      updates: the updates given with it.
      params: the parameters given with it.

    Returns:
      The abstract state that it fits; `None` if it is unknown.
    """
    if expected is not None and state_problem(expected, state) is None:
        return expected
    if expected is None:
        return exactly() if _was_set(state) else None
    precise = exactly()
    # Without parameters, an update of `None` leads to `None` in the precise state.
    kinds_only = precise is not None and params is None
    likely = expected if precise is None else precise
    problem = state_problem(likely, state, kinds_only=kinds_only)
    if problem is None:
        return likely
    cause = "was it made by another optimizer, or by the same one with other options?"
    if params is not None and _is_state_like(expected) and state_problem(expected, params) is None:
        cause = f"state and params seem to be swapped: {CALL}"
    elif _is_state_like(expected) and state_problem(expected, updates) is None:
        cause = f"the first argument looks like the state: {CALL}"
    elif _same_structure(updates, state):
        cause = f"it looks like a tree of parameters or gradients: {CALL}"
    raise TypeError(
        f"{name}.update: the state does not belong to this transformation: {problem}; {cause}"
    )


def _was_set(state: Any) -> bool:
    """Whether the type of a hyper-parameter in the state differs from that of `init`."""
    held = (x for holder in holders_in(state) for x in jax.tree.leaves(holder.hyperparams))
    return any(getattr(x, "dtype", None) != np.float32 for x in held)


def explain_failure(
    name: str, expected: Any, exactly: Callable[[], Any], state: Any, error: Exception
) -> None:
    """Raise in place of `error` if the state is of another kind or made for other parameters."""
    precise = exactly()
    if precise is None:
        return
    problem = None if expected is not None else state_problem(precise, state, kinds_only=True)
    if problem is not None:
        raise TypeError(
            f"{name}.update: the state does not belong to this transformation: {problem}; was it "
            f"made by another optimizer, or are arguments swapped ({CALL})?"
        ) from error
    sentences = listed(differences(precise, state))
    if sentences:
        raise ValueError(
            f"{name}.update: the state was made for other parameters than these updates: "
            f"{sentences}; {_likely_origin()}"
        ) from error


def _likely_origin() -> str:
    """Why a state does not fit."""
    cause = "does it come from another model, or have the gradients an extra axis?"
    if not manual_axes():
        return cause
    return (
        f"{cause} Inside shard_map: was it made outside, from whole arrays, of which some slots "
        "are not cut as their parameters are? Then call init inside, on the parts"
    )


def _is_state_like(expected: Any) -> bool:
    return not isinstance(expected, jax.ShapeDtypeStruct)


def _same_structure(a: Any, b: Any) -> bool:
    return jax.tree.structure(a, is_leaf=is_leaf) == jax.tree.structure(b, is_leaf=is_leaf)


def state_problem(
    expected: Any, state: Any, where: str = "state", kinds_only: bool = False
) -> str | None:
    """The first place where `state` is of another kind than the skeleton, or `None`.

    With `kinds_only`, a state for other parameters is accepted.
    """
    if isinstance(expected, jax.ShapeDtypeStruct):
        return None
    if hasattr(expected, "_fields"):
        if type(state) is not type(expected):
            return f"at {where} expected a {type(expected).__name__}, got {_kind(state)}"
        for field in expected._fields:
            inner = getattr(expected, field), getattr(state, field), f"{where}.{field}"
            if problem := state_problem(*inner, kinds_only):
                return problem
        return None
    if isinstance(expected, (tuple, list)):
        if not isinstance(state, (tuple, list)) or hasattr(state, "_fields"):
            return f"at {where} expected a tuple of {len(expected)} states, got {_kind(state)}"
        if len(state) != len(expected):
            return f"at {where} expected {len(expected)} states, got {len(state)}"
        for i, (e, s) in enumerate(zip(expected, state, strict=True)):
            if problem := state_problem(e, s, f"{where}[{i}]", kinds_only):
                return problem
        return None
    if isinstance(expected, dict):
        if kinds_only and isinstance(state, Mapping):
            expected = {key: value for key, value in expected.items() if key in state}
        elif not isinstance(state, Mapping) or set(state) != set(expected):
            keys = sorted(map(str, expected))
            got = sorted(map(str, state)) if isinstance(state, Mapping) else _kind(state)
            return f"at {where} expected the keys {keys}, got {got}"
        for key in expected:
            at = f"{where}[{key!r}]"
            if problem := state_problem(expected[key], state[key], at, kinds_only):
                return problem
        return None
    if expected is None and state is not None and not kinds_only:
        return f"at {where} expected None, got {_kind(state)}"
    return None


def _kind(state: Any) -> str:
    if hasattr(state, "_fields"):
        return f"a {type(state).__name__}"
    return (
        what_it_is(state)
        if not isinstance(state, (tuple, list, dict))
        else f"a {type(state).__name__}"
    )


def check_updates(
    name: str, updates: Any, params: Any, per_example: bool = False, caller: Caller = UPDATE
) -> Any:
    """The updates, in at least float32 and with `None` for float0, after checking every leaf."""
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
    partners: list[Any] = [None] * len(leaves)
    if params is not None:
        try:
            partners = flatten_like(treedef, params)
        except ValueError:
            _refuse_structure(name, updates, params, caller)
    checked: list[Any] = []
    for i, (g, p) in enumerate(zip(leaves, partners, strict=True)):
        if is_absent(g):
            checked.append(None)
            continue
        if problem := _leaf_problem(g, p, params is not None, per_example, caller):
            path = named_leaves(updates)[i][0]
            raise ValueError(f"{name}: the update of {path!r} {problem}")
        checked.append(_widened(g, p))
    return treedef.unflatten(checked)


def _leaf_problem(g: Any, p: Any, paired: bool, per_example: bool, caller: Caller) -> str | None:
    if not hasattr(g, "dtype") and not isinstance(g, (int, float, complex)):
        return f"is {what_it_is(g)}, expected an array"
    if paired and not hasattr(p, "dtype") and not isinstance(p, (int, float, complex)):
        return f"is {what_it_is(g)}, but there the parameters have {what_it_is(p)}; {caller.call}"
    if paired and not is_inexact(p):
        return (
            f"is {what_it_is(g)}, but the parameter is {what_it_is(p)}, which cannot be trained by "
            "adding real numbers; give None (jax.grad with allow_int=True gives float0, which "
            "is accepted)"
        )
    if not is_inexact(g):
        return (
            f"is {what_it_is(g)}, expected a floating-point array; for a parameter that is not "
            "trained give None"
        )
    if per_example and not np.ndim(g):
        return f"is {what_it_is(g)}, expected one gradient per example along a first axis"
    if isinstance(g, OneLeaf) and (problem := g.problem()):
        return problem
    if not paired:
        return None
    if per_example and np.shape(g)[1:] != np.shape(p):
        return (
            f"is {what_it_is(g)}, the parameter is {what_it_is(p)}: expected one gradient per "
            "example along a first axis, as jax.vmap(jax.grad(loss), (None, 0)) gives"
        )
    if not per_example and np.shape(g) != np.shape(p):
        return f"is {what_it_is(g)}, the parameter is {what_it_is(p)}{_shape_cause(g, p, caller)}"
    if jnp.iscomplexobj(g) != jnp.iscomplexobj(p):
        kinds = f"is {what_it_is(g)}, the parameter is {what_it_is(p)}"
        return f"{kinds}: expected both real or both complex"
    return None


def _shape_cause(g: Any, p: Any, caller: Caller) -> str:
    got, expected = np.shape(g), np.shape(p)
    if got[1:] == expected:
        return (
            "; it has an extra leading axis: did you forget the mean over the batch or the "
            f"devices, jax.tree.map(lambda g: g.mean(0), grads)? ({caller.call})"
        )
    if got == expected[::-1]:
        return "; it is transposed"
    return f"; did you give the {caller.updates} of other parameters? ({caller.call})"


def _widened(g: Any, p: Any) -> Any:
    dtype = g.dtype if hasattr(g, "dtype") else np.result_type(type(g))
    target = wide(p.dtype if hasattr(p, "dtype") else dtype)
    if not hasattr(g, "dtype"):
        return jnp.asarray(g, np.result_type(target, np.float32))
    if g.dtype == target:
        return g
    return (g if isinstance(g, OneLeaf) else jnp.asarray(g)).astype(target)


def _refuse_structure(name: str, updates: Any, params: Any, caller: Caller) -> None:
    sentences = listed(differences(params, updates))
    if not sentences:
        sentences = (
            f"the leaves are the same, the containers differ: expected "
            f"{jax.tree.structure(params)}, got {jax.tree.structure(updates)}"
        )
    cause = caller.origin
    if jax.tree.structure(updates) == jax.tree.structure(params):
        cause = "None is in different places"
    raise ValueError(
        f"{name}: the updates and the parameters are different trees: {sentences}; {cause}; "
        f"{caller.call}"
    )


def check_result(name: str, updates: Any, new_updates: Any, per_example: bool) -> None:
    """Outgoing updates must have the shapes of the incoming ones."""
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
    for i, (g, u) in enumerate(zip(leaves, flatten_like(treedef, new_updates), strict=True)):
        if u is not None and g is not None and np.shape(u) != np.shape(g)[per_example:]:
            path = named_leaves(updates)[i][0]
            raise ValueError(
                f"{name}.update: the update of {path!r} came out as {what_it_is(u)} for a gradient "
                f"of {what_it_is(g)}: does the state belong to other parameters, or has the "
                "gradient an extra axis?"
            )


def check_state_kept(name: str, exactly: Callable[[], Any], state: Any, new_state: Any) -> None:
    """A state keeps its structure, shapes and dtypes, or takes on those that `init` makes.

    Values that were put there by hand, or saved by an earlier version, may have had others.
    """
    if _alike(state, new_state, _type):
        return
    if _alike(state, new_state, np.shape) and _alike(exactly(), new_state, _type):
        return
    trees = jax.tree.structure(state), jax.tree.structure(new_state)
    sentences = listed(differences(state, new_state)) or "expected {}, got {}".format(*trees)
    raise ValueError(
        f"{name}.update: the state would change its type: {sentences}; {_likely_origin()}"
    )


def _alike(state: Any, new_state: Any, kind: Callable[[Any], Any]) -> bool:
    before, tree = jax.tree.flatten(state)
    after, new_tree = jax.tree.flatten(new_state)
    return tree == new_tree and all(kind(b) == kind(a) for b, a in zip(before, after, strict=True))


def _type(x: Any) -> Any:
    return np.shape(x), _dtype(x)


def _dtype(x: Any) -> Any:
    """A leaf's dtype; a Python or NumPy number has the dtype that JAX would give it."""
    number = isinstance(x, (int, float, complex, np.number, np.bool_))
    return jnp.result_type(x) if number else getattr(x, "dtype", None)
