"""Exact zeros for some parameters."""

from .._core import GradientTransformation, Mask, transformation
from ..transforms import matrices, set_to_zero
from ._masked import masked


@transformation("transform", example={"mask": matrices}, stage="freeze")
def freeze(mask: Mask) -> GradientTransformation:
    """Replace the updates where the mask is True by exact zeros; the others pass.

    It belongs at the end of a chain. In front of an optimizer the frozen parameters would still
    have moments, and decay, and so a chain refuses it there; `selective_transform` and `route`
    with `FREEZE` keep the optimizer from seeing them at all.

    Args:
      mask: True where a parameter stays: a tree of booleans that is a prefix of the parameters
        (a single one for all of them), or a function from them to one.

    Raises:
      ValueError: the mask does not fit the parameters.
      TypeError: the mask holds something other than booleans.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.chain(optcore.adamw(0.1), freeze({"a": True, "b": False}))
    >>> params = {"a": jnp.float32(1.0), "b": jnp.float32(1.0)}
    >>> updates, _ = tx.update({"a": jnp.nan, "b": 1.0}, tx.init(params), params)
    >>> updates["a"].item(), round(updates["b"].item(), 4)
    (0.0, -0.1)
    """
    return masked(set_to_zero(), mask)
