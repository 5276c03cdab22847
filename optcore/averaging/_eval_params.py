"""The parameters to evaluate, read from any state."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._core import LookaheadParams, Params, State, flatten_like, is_none, named_leaves


def eval_params(state: State, params: Params) -> Params:
    """The parameters to evaluate, in the dtypes of `params`.

    These are the average that `with_average` or `asgd` keeps, or the slow parameters of
    `lookahead`, anywhere in the state; otherwise `params` itself, as with any plain optimizer. A
    custom state takes part if its class has a method `evaluated(params)`, which returns a tree like
    the parameters, with `None` for parameters that it does not average.

    Args:
      state: the state of an optimizer, after an update.
      params: the parameters after the same update; also `LookaheadParams`.

    Returns:
      A tree like `params`; for `LookaheadParams`, like `params.slow`.

    Raises:
      TypeError: `state` and `params` are swapped.
      ValueError: the state belongs to other parameters, or has two averages of one parameter.

    >>> import jax.numpy as jnp, optcore
    >>> for tx in (optcore.sgd(1.0), optcore.with_average(optcore.sgd(1.0), "tail")):
    ...     w = jnp.float32(0.0)
    ...     state = tx.init(w)
    ...     for _ in range(3):
    ...         step, state = tx.update(jnp.float32(-1.0), state, params=w)
    ...         w = optcore.apply_updates(w, step)
    ...     print(eval_params(state, w).item())
    3.0
    2.0
    """
    if any(_is_state(part) for part in _parts(params)):
        raise TypeError(
            "eval_params: params holds the state of an optimizer; the call is "
            "eval_params(state, params)"
        )
    plain = _slow(params)
    leaves, treedef = jax.tree.flatten(plain, is_leaf=is_none)
    columns = [
        _column(type(part).__name__, treedef, part.evaluated(params))
        for part in _parts(state)
        if hasattr(part, "evaluated")
    ]
    chosen = []
    for i, p in enumerate(leaves):
        found = [x for column in columns if hasattr(x := column[i], "dtype")]
        if len(found) > 1:
            raise ValueError(
                f"eval_params: the state has {len(found)} averages of "
                f"{named_leaves(plain)[i][0]!r}; read the one you need from the state"
            )
        chosen.append(_like(p, found[0], plain, i) if found else p)
    return treedef.unflatten(chosen)


def _column(owner: str, treedef: Any, tree: Any) -> list[Any]:
    if tree is None:
        return [None] * treedef.num_leaves
    try:
        return flatten_like(treedef, _slow(tree))
    except ValueError as error:
        raise ValueError(
            f"eval_params: the average in {owner} belongs to other parameters: expected "
            f"{treedef}, got {jax.tree.structure(tree)}"
        ) from error


def _like(p: Any, average: jax.Array, params: Params, i: int) -> jax.Array:
    if average.shape != jnp.shape(p):
        raise ValueError(
            f"eval_params: the average of {named_leaves(params)[i][0]!r} has shape "
            f"{average.shape}, the parameter {jnp.shape(p)}: does it belong to another model?"
        )
    return average.astype(jnp.result_type(p))


def _slow(params: Params) -> Params:
    return params.slow if isinstance(params, LookaheadParams) else params


def _is_state(part: Any) -> bool:
    return hasattr(part, "_fields") and type(part).__name__.endswith("State")


def _parts(state: Any) -> Iterator[Any]:
    """The containers in a state, outer before inner, without the insides of readable ones."""
    if isinstance(state, Mapping):
        members = list(state.values())
    elif isinstance(state, (tuple, list)):
        members = list(state)
    else:
        return
    yield state
    if not hasattr(state, "evaluated"):
        for member in members:
            yield from _parts(member)
