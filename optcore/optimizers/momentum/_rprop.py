"""Rprop: each coordinate has a step of its own, which grows until the gradient turns."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Bound,
    GradientTransformation,
    Hyperparameter,
    Range,
    Rate,
    Updates,
    per_leaf,
    slots,
    transformation,
)
from ...compose import chain
from ...transforms import scale

Shrink = Annotated[Hyperparameter, Range(0, 1, open_low=True)]
Grow = Annotated[Hyperparameter, Range(1)]


class ScaleByRpropState(NamedTuple):
    """The steps and the last gradient.

    Attributes:
      step_sizes: the length of the next step in every coordinate; of a complex parameter, in
        both parts.
      previous_gradient: the last gradient, with 0 where it had turned.
    """

    step_sizes: Updates
    previous_gradient: Updates


@transformation("transform", example={"learning_rate": 0.1})
def scale_by_rprop(
    learning_rate: Rate,
    eta_minus: Shrink = 0.5,
    eta_plus: Grow = 1.2,
    min_step_size: Rate = 1e-6,
    max_step_size: Bound = 50.0,
) -> GradientTransformation:
    r"""Rprop without going back (Riedmiller and Braun, 1993), as in `torch.optim.Rprop`.

    .. math::
        \Delta_t = \mathrm{clip}(\Delta_{t-1} \cdot \begin{cases}
            \eta_+ & g_t g_{t-1} > 0 \\ \eta_- & g_t g_{t-1} < 0 \\ 1 & \text{otherwise}
            \end{cases}), \quad
        u_t = \Delta_t \cdot \mathrm{sign}(g_t), \quad \Delta_0 = learning\_rate, \quad g_0 = 0

    Where the gradient has changed its sign, the coordinate does not move for one step and its
    gradient counts as 0. The real and the imaginary part of a complex number have separate steps.
    Only signs count, so compute the gradients from all the data.

    optax's first update is zero, and each of its updates is the one due at the step before.

    Args:
      learning_rate: the first step in every coordinate, ≥ 0.
      eta_minus: how much a step shrinks where the gradient turned, in (0, 1).
      eta_plus: how much a step grows where it did not, ≥ 1.
      min_step_size: lower bound of the steps, ≥ 0.
      max_step_size: upper bound of the steps, ≥ `min_step_size`.

    Raises:
      ValueError: `min_step_size` exceeds `max_step_size`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_rprop(1.0)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (3.0, 0.1, -2.0, -2.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 6))
    1.0
    1.2
    0.0
    -0.6
    """
    low, high = min_step_size, max_step_size
    if isinstance(low, float) and isinstance(high, float) and low > high:
        raise ValueError(
            f"scale_by_rprop: min_step_size must not exceed max_step_size={high}, got {low}"
        )

    def init(params):
        sizes = jax.tree.map(_both_parts, slots(params, fill=learning_rate))
        return ScaleByRpropState(sizes, slots(params))

    def bounded(size):
        return jnp.minimum(jnp.maximum(size, min_step_size), max_step_size)

    def real_leaf(g, size, before):
        # The product of the gradients themselves may vanish.
        agreement = jnp.sign(g) * jnp.sign(before)
        longer, same, shorter = (bounded(eta * size) for eta in (eta_plus, 1.0, eta_minus))
        size = jnp.where(agreement > 0, longer, jnp.where(agreement < 0, shorter, same))
        g = jnp.where(agreement < 0, 0, g)
        return size * jnp.sign(g), size, g

    return per_leaf(init, _part_by_part(real_leaf), ("step_sizes", "previous_gradient"))


def _both_parts(x: jax.Array) -> jax.Array:
    return jax.lax.complex(x.real, x.real) if jnp.iscomplexobj(x) else x


def _part_by_part(
    leaf: Callable[..., tuple[jax.Array, ...]],
) -> Callable[..., tuple[jax.Array, ...]]:
    """The leaf, for complex arrays on the real and the imaginary parts."""

    def either(*arrays):
        if not jnp.iscomplexobj(arrays[0]):
            return leaf(*arrays)
        reals, imags = leaf(*(x.real for x in arrays)), leaf(*(x.imag for x in arrays))
        return tuple(map(jax.lax.complex, reals, imags))

    return either


@transformation("optimizer", example={"learning_rate": 0.1})
def rprop(
    learning_rate: Rate,
    eta_minus: Shrink = 0.5,
    eta_plus: Grow = 1.2,
    min_step_size: Rate = 1e-6,
    max_step_size: Bound = 50.0,
) -> GradientTransformation:
    """Rprop: `w ← w - u_t` with the steps of `scale_by_rprop`.

    Args:
      learning_rate: the first step; later steps adapt their own length, so only the first value of
        a schedule matters.
      eta_minus: see `scale_by_rprop`, like all that follow.
      eta_plus: how much a step grows.
      min_step_size: lower bound of the steps.
      max_step_size: upper bound of the steps.

    The size of a gradient does not matter, only its sign:

    >>> import jax.numpy as jnp
    >>> tx = rprop(0.5)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))[0].tolist()
    [-0.5, 0.5]
    """
    return chain(
        scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size),
        scale(-1.0),
    )
