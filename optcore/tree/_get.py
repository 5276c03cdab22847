"""Values in a tree, by the name of a field, of a key, or of the class of a state."""

from collections.abc import Callable
from typing import Any

from .._core import suggestion
from ._nodes import Path, is_named_tuple, matches, name_of, nodes, written

Filtering = Callable[[Path, Any], bool]
_REQUIRED: Any = object()


def get_all_with_path(
    tree: Any, key: Any, filtering: Filtering | None = None
) -> list[tuple[Path, Any]]:
    """Every value that goes by a name, each with its path.

    Args:
      tree: a state, or any tree.
      key: the field of a NamedTuple, the attribute of another node, the key of a dict, or the
        name of a NamedTuple's class; with dots, the end of a path (`"hyperparams.b1"`).
      filtering: `filtering(path, value)` says which of them count. A path is a tuple of JAX's
        keys, with a `NamedTupleKey` for the field of a NamedTuple.

    Returns:
      Pairs of a path, which `jax.tree_util.keystr` prints, and a value; those further up first.

    >>> import jax, jax.numpy as jnp, optcore
    >>> state = optcore.adam(0.1).init(jnp.zeros(2))
    >>> for path, value in get_all_with_path(state, "mu"):
    ...     print(jax.tree_util.keystr(path), value.shape)
    [0]ScaleByAdamState.mu (2,)
    """
    found = [(path, node) for path, node in nodes(tree) if matches(path, node, key)]
    return [(p, v) for p, v in found if filtering is None or filtering(p, v)]


def get(tree: Any, key: Any, default: Any = _REQUIRED, filtering: Filtering | None = None) -> Any:
    """The one value that goes by a name.

    Args:
      tree: a state, or any tree.
      key: see `get_all_with_path`.
      default: what is returned if there is none; without it, that is an error.
      filtering: see `get_all_with_path`.

    Raises:
      KeyError: there is no such value, or there are several; the message suggests a name, or
        lists the paths.

    >>> import jax.numpy as jnp, optcore
    >>> state = optcore.adam(0.1).init(jnp.zeros(2))
    >>> get(state, "count").item(), get(state, "momentum", default=None)
    (0, None)
    >>> get(state, "cuont")
    Traceback (most recent call last):
    KeyError: "no 'cuont' in the tree; did you mean 'count'? ..."
    """
    found = get_all_with_path(tree, key, filtering)
    if len(found) == 1:
        return found[0][1]
    if found:
        paths = ", ".join(written(path) for path, _ in found)
        raise KeyError(f"{key!r} stands in several places: {paths}; give the end of a path")
    if default is _REQUIRED:
        raise KeyError(missing(tree, key, filtering))
    return default


def missing(tree: Any, key: Any, filtering: Filtering | None) -> str:
    """That a name is not there, with what was perhaps meant."""
    if filtering is not None and get_all_with_path(tree, key):
        return f"no {key!r} in the tree passes the filter"
    names = [name_of(path[-1]) for path, _ in nodes(tree) if path]
    names += [type(node).__name__ for _, node in nodes(tree) if is_named_tuple(node)]
    known = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    return (
        f"no {key!r} in the tree; {suggestion(str(key), known)}it has "
        f"{', '.join(known) or 'no names'}. A constant is in no state: read(tx, state, name) "
        "knows it"
    )
