"""Names of leaves, as readable paths, and the differences of two trees."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ._one_leaf import OneLeaf, OneLeafError


def is_none(x: Any) -> bool:
    """Whether it is `None`, to treat it as a leaf."""
    return x is None


def is_leaf(x: Any) -> bool:
    """Whether it is a leaf of updates besides arrays: `None`, or a node that counts as one leaf."""
    return is_none(x) or isinstance(x, OneLeaf)


def path_name(path: tuple[Any, ...]) -> str:
    """`encoder/0/bias`, and `(the tree itself)` for a tree that is one leaf."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "(the tree itself)"


def parameter_name(path: tuple[Any, ...]) -> str:
    """A parameter's name: its path without the attribute `value` of a box that holds it.

    Flax keeps parameters in such boxes: `nnx.Variable`, and linen's `Partitioned`.

    >>> import jax
    >>> keys = (jax.tree_util.DictKey("bias"), jax.tree_util.GetAttrKey("value"))
    >>> parameter_name(keys), parameter_name(keys[1:])
    ('bias', 'value')
    """
    return path_name(path[:-1] if is_boxed(path) else path)


def is_boxed(path: tuple[Any, ...]) -> bool:
    """Whether a path ends with the attribute `value` of a box."""
    return (
        len(path) > 1
        and isinstance(path[-2], jax.tree_util.DictKey)
        and isinstance(path[-1], jax.tree_util.GetAttrKey)
        and path[-1].name == "value"
    )


def named_parameters(tree: Any) -> list[tuple[str, Any]]:
    """Like `named_leaves`, with the names of parameters."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_none)
    return [(parameter_name(path), leaf) for path, leaf in paths]


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Every leaf with its name, in the order of `jax.tree.leaves`; `None` counts as one."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    return [(path_name(path), leaf) for path, leaf in paths]


def what_it_is(leaf: Any) -> str:
    """A leaf in words for a message: `float32[3,4]`, `None`, or its type."""
    if leaf is None:
        return "None"
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    if isinstance(leaf, (bool, int, float, complex, np.number)):
        return f"the Python {type(leaf).__name__} {leaf!r}"
    return f"an object of type {type(leaf).__name__}"


def refuse_one_leaf(updates: Any) -> None:
    """Raise if anything but arrays and `None` is among the updates."""
    if any(isinstance(x, OneLeaf) for x in jax.tree.leaves(updates, is_leaf=is_leaf)):
        path, leaf = next((p, x) for p, x in named_leaves(updates) if isinstance(x, OneLeaf))
        raise OneLeafError(
            f"the update of {path!r} is a {type(leaf).__name__} in place of {what_it_is(leaf)}, "
            f"but must be an array here; {leaf.advice}"
        )


def differences(expected: Any, got: Any) -> Iterator[str]:
    """One sentence per leaf that is in only one of the trees, or differs in shape or dtype."""
    wanted, found = dict(named_leaves(expected)), dict(named_leaves(got))
    for name, leaf in wanted.items():
        if name not in found:
            yield f"{name!r} is missing (expected {what_it_is(leaf)})"
        elif what_it_is(found[name]) != what_it_is(leaf):
            yield f"{name!r}: expected {what_it_is(leaf)}, got {what_it_is(found[name])}"
    for name, leaf in found.items():
        if name not in wanted:
            yield f"{name!r} is not expected (got {what_it_is(leaf)})"


def listed(sentences: Iterator[str], most: int = 4) -> str:
    """The first few sentences, and the number of further ones."""
    found = list(sentences)
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + more
