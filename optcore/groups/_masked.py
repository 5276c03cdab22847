"""A transformation of some parameters, which lets the others pass."""

from typing import Any, NamedTuple

import jax

from .._core import (
    GradientTransformation,
    Mask,
    Params,
    State,
    Updates,
    flatten_like,
    is_none,
    select,
    transformation,
)
from ..compose._stages import gives_steps
from ..transforms import matrices, trace
from ._groups import Assign, Grouped, Groups


class MaskedState(NamedTuple):
    """The state of what is masked.

    Attributes:
      inner_state: its state, with `None` for the parameters that pass.
    """

    inner_state: State


@transformation("wrapper", example={"inner": trace(0.5), "mask": matrices}, partial="masked")
def masked(
    inner: GradientTransformation, mask: Mask, *, mask_compatible_extra_args: bool = False
) -> GradientTransformation:
    """Transform the updates where the mask is True, and let the others pass as they are.

    What passes an optimizer is the raw gradient, and would be added: that is refused. To train
    some parameters and leave the others, use `route` with `FREEZE`. Whether a transformation of
    another library is an optimizer is not known.

    Args:
      inner: a transform or a direction. Its state holds nothing for what passes.
      mask: a tree of booleans that is a prefix of the parameters, or a function from the
        parameters (or the updates, if `update` is given no parameters) to one.
      mask_compatible_extra_args: whether all extra arguments of `update` that are trees like the
        parameters are masked too; `grad` always is, see `route`.

    Raises:
      ValueError: `inner` gives steps of descent, or contains `dynamic_loss_scale`, which must
        stand outside; or the mask does not fit the parameters.
      TypeError: the mask holds something other than booleans.

    >>> import jax.numpy as jnp, optcore
    >>> tx = masked(optcore.scale(10.0), {"a": True, "b": False})
    >>> grads = {"a": jnp.float32(1.0), "b": jnp.float32(1.0)}
    >>> updates, _ = tx.update(grads, tx.init(grads))
    >>> updates["a"].item(), updates["b"].item()
    (10.0, 1.0)
    """
    if gives_steps(inner):
        raise ValueError(
            f"masked: inner gives steps of descent ({inner!r}); where the mask is False the raw "
            "gradient would pass, and be added to the parameter: ascent. To leave those "
            "parameters as they are, use route with the rule (pattern, FREEZE), or "
            "selective_transform; to train them in another way, a second rule"
        )
    assign = by_mask("masked", mask)
    groups = Groups("masked", [inner], assign, mask_compatible_extra_args)

    def init(params: Params) -> MaskedState:
        return MaskedState(groups.init(params)[0])

    def update(
        updates: Updates, state: MaskedState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MaskedState]:
        updates, (new,) = groups.update(updates, [state.inner_state], params, extra)
        return updates, MaskedState(new)

    return Grouped(init, update, [("masked", inner)], assign)


def by_mask(owner: str, mask: Mask) -> Assign:
    """Group 0 where the mask is True, none elsewhere."""

    def assign(tree: Any) -> list[int | None]:
        leaves, treedef = jax.tree.flatten(tree, is_leaf=is_none)
        zeros = treedef.unflatten([None if leaf is None else 0 for leaf in leaves])
        return flatten_like(treedef, select(owner, mask, zeros, tree))

    return assign
