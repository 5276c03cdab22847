"""What stands for the parameters where only their place counts, or some of them."""

from typing import Any

import jax


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


def is_partial(params: Any) -> bool:
    """Whether rules may match none: something stands for parameters, or for some of them."""
    return any(map(is_placeholder, jax.tree.leaves(params, is_leaf=is_placeholder)))
