"""A placeholder for the parameters, or some of them, where only their place matters."""

from typing import Any

import jax


@jax.tree_util.register_pytree_node_class
class Placeholder:
    """A node without leaves in place of the parameters; `init` passes it to its slots."""

    def tree_flatten(self) -> tuple[tuple[()], None]:
        """No leaves."""
        return (), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[()]) -> "Placeholder":
        """Another placeholder."""
        return cls()


def is_placeholder(node: Any) -> bool:
    """Whether it represents parameters."""
    return isinstance(node, Placeholder)


def is_partial(params: Any) -> bool:
    """Whether rules may match nothing, because placeholders replace some of the parameters."""
    return any(map(is_placeholder, jax.tree.leaves(params, is_leaf=is_placeholder)))
