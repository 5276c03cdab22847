"""A map over the parts of a state that are shaped like the parameters."""

from collections.abc import Callable
from typing import Any

import jax

from .._core import Placeholder, flatten_like, is_placeholder


def map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[[Any], Any] | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Apply a function to every leaf of a state that belongs to a parameter.

    For the shardings of a state see `optcore.sharding.state_shardings`.

    Args:
      initable: the transformation, or its `init`.
      f: called with a leaf of the state and the leaves of `rest` at the same parameter. The state
        may have several leaves for a parameter (a factored moment has a row and a column) or none,
        as for the parameters of other groups.
      state: a state of that transformation.
      *rest: trees like the parameters.
      transform_non_params: called with every other leaf, such as counts; by default these do not
        change.
      is_leaf: as in `jax.tree.map`, for trees like the parameters.

    Raises:
      TypeError: `initable` has no `init`, or its `init` depends on the leaves of the parameters, as
        that of optax's `masked` does.
      ValueError: the state does not belong to this transformation.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.adam(0.1)
    >>> specs = map_params(
    ...     tx, lambda _, spec: spec, tx.init({"w": jnp.zeros(2)}), {"w": "spec of w"},
    ...     transform_non_params=lambda _: "replicated",
    ... )
    >>> specs[0]
    ScaleByAdamState(count='replicated', mu={'w': 'spec of w'}, nu={'w': 'spec of w'})
    """
    init = getattr(initable, "init", initable)
    if not callable(init):
        raise TypeError(f"map_params: expected a transformation or its init, got {initable!r}")
    try:
        skeleton = init(Placeholder())
    except Exception as error:
        raise TypeError(
            "map_params: initable needs an init that works without the leaves of the parameters, "
            "but this one does not, so the parts of its state like them are unknown"
        ) from error

    def mapped(there: Any, part: Any) -> Any:
        if is_placeholder(there) and not rest:
            return jax.tree.map(f, part, is_leaf=is_leaf)
        if is_placeholder(there):
            return _along(f, part, rest, is_leaf)
        return part if transform_non_params is None else transform_non_params(part)

    return jax.tree.map(mapped, _repeated(skeleton, state), state, is_leaf=is_placeholder)


def _repeated(skeleton: Any, state: Any) -> Any:
    """The skeleton, with as many trees as the state has where it has one per axis."""
    if not isinstance(skeleton, (tuple, list, dict)) or type(skeleton) is not type(state):
        return skeleton
    if isinstance(skeleton, dict):
        return {key: _repeated(skeleton.get(key), state[key]) for key in state}
    if not hasattr(skeleton, "_fields") and len(skeleton) == 1 and is_placeholder(skeleton[0]):
        return skeleton * len(state)
    members = map(_repeated, skeleton, state)
    return type(skeleton)(*members) if hasattr(skeleton, "_fields") else type(skeleton)(members)


def _along(f: Any, part: Any, rest: tuple[Any, ...], is_leaf: Any) -> Any:
    treedef = jax.tree.structure(rest[0], is_leaf=is_leaf)
    columns = [flatten_like(treedef, tree) for tree in (part, *rest)]
    return treedef.unflatten(
        [
            jax.tree.map(lambda x, others=others: f(x, *others), below)
            for below, *others in zip(*columns, strict=True)
        ]
    )
