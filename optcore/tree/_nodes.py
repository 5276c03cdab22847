"""Every node of a tree with its path; fields of a NamedTuple carry the name of its class."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

Path = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class NamedTupleKey:
    """A step on a path: a field of a NamedTuple; optax's class of this name.

    Attributes:
      tuple_name: the name of the NamedTuple's class.
      name: the field.

    >>> str(NamedTupleKey("ScaleByAdamState", "mu"))
    'ScaleByAdamState.mu'
    """

    tuple_name: str
    name: str

    def __str__(self) -> str:
        return f"{self.tuple_name}.{self.name}"


def is_named_tuple(node: Any) -> bool:
    """Whether it is a NamedTuple, as states are."""
    return isinstance(node, tuple) and hasattr(node, "_fields")


def steps_below(node: Any) -> list[tuple[Any, Any]]:
    """The direct children, each with the step that leads there."""
    if is_named_tuple(node):
        name = type(node).__name__
        return [(NamedTupleKey(name, field), getattr(node, field)) for field in node._fields]
    below = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)[0]
    return [(path[0], child) for path, child in below if path]


def nodes(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every node from the root on, parents before children."""
    yield path, tree
    for step, child in steps_below(tree):
        yield from nodes(child, (*path, step))


def name_of(step: Any) -> Any:
    """The field, attribute or key of a step; `None` for an index in a sequence."""
    if isinstance(step, (NamedTupleKey, GetAttrKey)):
        return step.name
    return step.key if isinstance(step, DictKey) else None


def written(path: Path) -> str:
    """`0.inner.mu`, and `(the tree itself)` for the root."""
    return ".".join(map(_written, path)) or "(the tree itself)"


def _written(step: Any) -> str:
    if isinstance(step, SequenceKey):
        return str(step.idx)
    return str(step.key if isinstance(step, FlattenedIndexKey) else name_of(step))
