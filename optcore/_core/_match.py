"""Matching of trees by structure, or by the paths of their leaves.

A mask made from a model's state may have boxes where the gradients have bare arrays, or dicts where
they have attributes: the paths still identify the leaves.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from ._paths import is_boxed, is_leaf, is_none, parameter_name, path_name

Path = tuple[Any, ...]
Names = tuple[str, ...]


def spread(
    given: Any, tree: Any, what: str, noun: str, leaf: Callable[[Any], bool] = is_leaf
) -> list[Any]:
    """For each leaf of a tree (`None` counts as a leaf), its entry in another tree.

    Args:
      given: a tree with a leaf for each leaf of `tree`, or for whole subtrees of it.
      tree: like the parameters.
      what: the name of the argument `given`, for messages, such as `adamw: the mask`.
      noun: the word for its leaves, such as `booleans`; empty to omit it.
      leaf: whether a node of `tree` is a leaf, besides arrays.

    Raises:
      ValueError: a leaf of one of them is missing in the other; the message names the first.

    >>> spread({"a": True, "b": False}, {"a": {"w": 1.0, "b": 2.0}, "b": 3.0}, "mask", "booleans")
    [True, True, False]
    """

    def below(label: Any, subtree: Any) -> Any:
        return jax.tree.map(lambda _: label, subtree, is_leaf=leaf)

    treedef = jax.tree.structure(tree, is_leaf=leaf)
    try:
        return treedef.flatten_up_to(jax.tree.map(below, given, tree))
    except ValueError:
        return _by_path(given, tree, what, noun, leaf)


def _by_path(
    given: Any, tree: Any, what: str, noun: str, is_leaf: Callable[[Any], bool]
) -> list[Any]:
    known: dict[Names, int] = {}
    boxed: dict[Names, int] = {}
    entries, _ = jax.tree_util.tree_flatten_with_path(given, is_leaf=is_none)
    labels = [label for _, label in entries]
    for i, (path, _) in enumerate(entries):
        known[_names(path)] = i
        boxed[_unboxed(path)] = i

    def empty(x: Any) -> bool:
        return not jax.tree.leaves(x, is_leaf=is_leaf)

    found: list[Any] = []
    used: set[int] = set()
    for path, leaf in jax.tree_util.tree_flatten_with_path(
        tree, is_leaf=lambda x: is_leaf(x) or empty(x)
    )[0]:
        own = _names(path)
        n = _lookup(own, _unboxed(path), known, boxed)
        if leaf is None or empty(leaf):
            # The entry of the other tree at that place has no meaning.
            used |= {m for at, m in (*known.items(), *boxed.items()) if at[: len(own)] == own}
        elif n is None or labels[n] is None:
            raise ValueError(_problem(what, noun, given, f"has no entry for {_name(path)}"))
        used |= set() if n is None else {n}
        if not empty(leaf):
            found.append(None if n is None else labels[n])
    for i, (path, label) in enumerate(entries):
        if label is not None and i not in used:
            raise ValueError(_problem(what, noun, tree, f"the parameters have no {_name(path)}"))
    return found


def _name(path: Path) -> str:
    return repr(parameter_name(path))


def _problem(what: str, noun: str, other: Any, problem: str) -> str:
    paths = [_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(other)[0]]
    more = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
    it, they = ("the parameters have", "") if problem.startswith("the") else ("it has", "it ")
    return (
        f"{what} must be a tree{noun and ' of '}{noun} with the structure of the parameters, or of "
        f"a part of it from the root; {they}{problem}: {it} "
        f"{', '.join(paths[:4]) or 'no leaves'}{more}; was it made for another model? A function "
        "from the parameters to such a tree fits any"
    )


def _lookup(
    own: Names, unboxed: Names, known: Mapping[Names, int], boxed: Mapping[Names, int]
) -> int | None:
    """The entry for a leaf: at its path, with or without a box, or at a prefix of it."""
    if own in known:
        return known[own]
    for path in (unboxed, own):
        if path in boxed:
            return boxed[path]
    return next((known[own[:n]] for n in range(len(own) - 1, -1, -1) if own[:n] in known), None)


def _names(path: Path) -> Names:
    return tuple(path_name((key,)) for key in path)


def _unboxed(path: Path) -> Names:
    """The path without the attribute of a box at its end."""
    return _names(path[:-1] if is_boxed(path) else path)
