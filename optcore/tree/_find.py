"""The one state of a type, wherever it stands."""

from typing import Any, TypeVar

from ._nodes import is_named_tuple, nodes, written

T = TypeVar("T")


def find(state: Any, kind: type[T]) -> T:
    """The state of a type, anywhere in a state.

    Args:
      state: of any transformation.
      kind: the class of what is looked for, such as `optcore.ScaleByAdamState`.

    Raises:
      KeyError: there is none, or there are several; the message lists what there is, with paths.
      TypeError: `kind` is no class.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.chain(optcore.clip(1.0), optcore.adam(0.1))
    >>> find(tx.init(jnp.zeros(2)), optcore.ScaleByAdamState).count.item()
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
        raise KeyError(f"find: {kind.__name__} stands in several places: {paths}")
    states = [f"{type(n).__name__} at {written(p)}" for p, n in every if is_named_tuple(n)]
    raise KeyError(f"find: no {kind.__name__}; there are: {', '.join(states) or 'no states'}")
