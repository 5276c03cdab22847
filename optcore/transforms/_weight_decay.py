"""Weight decay, decoupled from the gradient."""

import jax

from .._core import GradientTransformation, Mask, Rate, map_leaves, select, transformation
from ._stateless import plain


@transformation("transform", example={"weight_decay": 0.01}, needs=("params",), leafwise=True)
def add_decayed_weights(
    weight_decay: Rate = 0.0, mask: Mask | None = None
) -> GradientTransformation:
    """Add `weight_decay · p` to the update of every parameter `p`.

    Behind a direction and in front of the learning rate this is decoupled decay (Loshchilov
    and Hutter, arXiv 1711.05101, algorithm 2); in front of the direction it is L2
    regularisation. Behind the learning rate it would make the weights *grow*.

    Args:
      weight_decay: ≥ 0.
      mask: a tree of booleans (or a function from the parameters to one) that says which
        parameters decay; by default all. It may stop at a subtree.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = add_decayed_weights(0.1, mask={"w": True, "b": False})
    >>> params = {"w": jnp.float32(2.0), "b": jnp.float32(2.0)}
    >>> zeros = {"w": jnp.float32(0.0), "b": jnp.float32(0.0)}
    >>> updates, _ = tx.update(zeros, tx.init(params), params=params)
    >>> round(updates["w"].item(), 6), updates["b"].item()
    (0.2, 0.0)
    """

    def leaf(g: jax.Array, p: jax.Array | None) -> jax.Array:
        return g if p is None else g + weight_decay * p

    def decayed(updates: object, params: object) -> object:
        chosen = select("add_decayed_weights", mask, params, params)
        return map_leaves(leaf, updates, reads=(chosen,))

    return plain(decayed)
