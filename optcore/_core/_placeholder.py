"""What stands for the parameters where only their place counts, or some of them."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import jax

_local = threading.local()


@jax.tree_util.register_pytree_node_class
class Placeholder:
    """A node without leaves in the place of the parameters: `init` hands it to its slots."""

    def tree_flatten(self) -> tuple[tuple[()], None]:
        """No leaves."""
        return (), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[()]) -> "Placeholder":
        """Another one."""
        return cls()


def is_placeholder(node: Any) -> bool:
    """Whether it stands for parameters."""
    return isinstance(node, Placeholder)


@contextlib.contextmanager
def of_a_part() -> Iterator[None]:
    """For those who look at a part of the parameters: rules may match none of them."""
    before = is_partial(None)
    _local.partial = True
    try:
        yield
    finally:
        _local.partial = before


def is_partial(params: Any) -> bool:
    """Whether rules may match none: of a part of the parameters, or of what stands for them."""
    return getattr(_local, "partial", False) or is_placeholder(params)
