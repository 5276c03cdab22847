"""Grafting: the step length of one optimizer and the direction of another."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    begin,
    global_norm,
    map_leaves,
    norm_along,
    own_axes,
    transformation,
)
from ..transforms import scale_by_learning_rate


class GraftState(NamedTuple):
    """The states of both.

    Attributes:
      inner: the state of `magnitude` and that of `direction`.
    """

    inner: tuple[State, State]


@transformation(
    "wrapper", example={"magnitude": scale_by_learning_rate(0.1)}, partial="steps", all_reduces=1
)
def graft(
    magnitude: GradientTransformation,
    direction: GradientTransformation,
    *,
    axis: int | tuple[int, ...] | None = None,
) -> GradientTransformation:
    r"""Make steps with the length of `magnitude` and the direction of `direction`.

    With the updates `m` and `d` of the two, for each leaf (Agarwal et al., arXiv 2002.11803,
    algorithm 1, layer-wise):

    .. math::
        u = \frac{\|m\|}{\|d\|} \, d

    Both see the same gradients and keep their own states. Where `d` is zero, so is `u`.

    Args:
      magnitude: gives the norms; the sign of its updates does not matter.
      direction: gives the directions; its learning rate does not matter as long as it is positive.
      axis: the axes that make up one block with a norm of its own, as for `norm`; by default
        all. A scalar is one block.

    Raises:
      ValueError: an update has no such axis; one of the two contains `dynamic_loss_scale`, which
        must be outside.

    The step length is that of `sgd`, and the direction is Adam's:

    >>> import jax.numpy as jnp, optcore
    >>> tx = graft(optcore.sgd(0.1), optcore.adam(1.0))
    >>> g = jnp.array([3.0, 4.0])
    >>> tx.update(g, tx.init(g))[0].round(4).tolist()
    [-0.3536, -0.3536]
    """
    both = adapt(magnitude), adapt(direction)

    def norm(x: jax.Array) -> jax.Array:
        if axis is None or not x.ndim:
            return global_norm(x)
        return norm_along(x, own_axes("graft: axis", axis, x))

    def leaf(d: jax.Array, m: jax.Array) -> jax.Array:
        length = norm(d)
        # The reciprocal of a huge length vanishes; that of zero, or nearly, overflows.
        power = jnp.where(length > 2.0**64, 2.0**-64, 1.0).astype(length.dtype)
        vanishes = length < jnp.finfo(length.dtype).tiny
        return norm(m) * ((power * d) * (1 / jnp.where(vanishes, 1, power * length)))

    def init(params: Params) -> GraftState:
        first, second = (tx.init(params) for tx in both)
        return GraftState((first, second))

    def update(
        updates: Updates, state: GraftState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, GraftState]:
        (m, first), (d, second) = (
            tx.update(begin(updates), inner, params, **extra)
            for tx, inner in zip(both, state.inner, strict=True)
        )
        d = map_leaves(leaf, d, reads=(m,))
        return d, GraftState((first, second))

    return GradientTransformation(init, update)
