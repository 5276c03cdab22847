"""The state of a given type inside another state."""

from typing import Any, TypeVar

from ._nodes import is_named_tuple, nodes, written

T = TypeVar("T")


def find(state: Any, kind: type[T]) -> T:
    """The only state of a given type inside a state.

    Args:
      state: the state of any transformation.
      kind: the class to look for, such as `optcore.optimizers.ScaleByAdamState`.

    Raises:
      KeyError: there is no such state, or there are several; the message lists the states found,
        with paths.
      TypeError: `kind` is not a class.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.chain(optcore.clip(1.0), optcore.adam(0.1))
    >>> find(tx.init(jnp.zeros(2)), optcore.optimizers.ScaleByAdamState).count.item()
    0
    """
    if not isinstance(kind, type):
        raise TypeError(f"find: expected a class of states, got {kind!r}")
    every = list(nodes(state))
    found = [(path, node) for path, node in every if isinstance(node, kind)]
    if len(found) == 1:
        return found[0][1]
    if found:
        paths = ", ".join(written(path) for path, _ in found)
        raise KeyError(f"find: {kind.__name__} is in several places: {paths}")
    states = [f"{type(n).__name__} at {written(p)}" for p, n in every if is_named_tuple(n)]
    raise KeyError(f"find: no {kind.__name__}; there are: {', '.join(states) or 'no states'}")
