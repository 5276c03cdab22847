"""Which transformations skip what is not finite by themselves, and which scale a loss."""

from typing import Any

import jax

from .._core import DeclaredTransformation, GradientTransformation


def skips_by_itself(tx: Any) -> bool:
    """Whether a non-finite gradient is known to leave it as it is, but for its counters."""
    if not isinstance(tx, DeclaredTransformation):
        return False
    if tx.declaration.name == "guard":
        return tx.arguments["on_nonfinite"] == "skip"
    return tx.declaration.name in ("accumulate", "MultiSteps")


def scales_a_loss(tx: Any) -> bool:
    """Whether it is a loss scale, or one is inside."""
    if not isinstance(tx, DeclaredTransformation):
        return False
    parts = jax.tree.leaves(tx.arguments, is_leaf=_is_declared)
    return tx.declaration.name == "dynamic_loss_scale" or any(map(scales_a_loss, parts))


def refuse_loss_scale(owner: str, *inner: GradientTransformation, whole: bool = True) -> None:
    """Raise if something wrapped scales a loss.

    Args:
      owner: what wraps it.
      inner: what is wrapped.
      whole: every step is for what is wrapped, but that the owner keeps overflows from it;
        otherwise some parameters or steps are for another, which would see scaled gradients.
    """
    if any(map(scales_a_loss, inner)):
        cause = (
            "the steps that overflow would never reach it, and the scale would never fall"
            if whole
            else "it would be one part among others, which would see the gradients of a scaled loss"
        )
        raise ValueError(
            f"{owner}: dynamic_loss_scale must stand outside, as in "
            f"dynamic_loss_scale({owner}(...)): inside, {cause}"
        )


def _is_declared(x: Any) -> bool:
    return isinstance(x, DeclaredTransformation)
