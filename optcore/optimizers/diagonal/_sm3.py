"""SM3: the root of the smallest of a few maxima of sums of squares."""

import functools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    GradientTransformation,
    Hyperparameter,
    Range,
    Rate,
    Updates,
    abs_sq,
    is_inexact,
    over_root,
    per_leaf,
    saturated,
    slots,
    squarable,
    transformation,
)
from ...compose import descend
from ._shared import reduced


class ScaleBySM3State(NamedTuple):
    """The accumulators.

    Attributes:
      mu: running average of the scaled gradients, like the parameters.
      nu: for each parameter a tuple of one real vector per axis, with the length of that axis
        (and length 1 along the others); one number for a scalar.
    """

    mu: Updates
    nu: Updates


def _other_axes(ndim: int) -> list[tuple[int, ...]]:
    """For every vector of a cover the axes it does not run along; a scalar has one of them."""
    return [tuple(j for j in range(ndim) if j != i) for i in range(max(ndim, 1))]


@transformation("direction", example={})
def scale_by_sm3(
    b1: Decay = 0.9,
    b2: Annotated[Hyperparameter, Range(0, 1, closed=True)] = 1.0,
    eps: Rate = 1e-8,
) -> GradientTransformation:
    r"""The direction of SM3 (Anil et al., arXiv 1901.11150, algorithm SM3-II).

    Every slice :math:`r` of an array (a row, a column, …) has one accumulator :math:`\mu(r)`:

    .. math::
        \nu_t(i) = \min_{r \ni i} \mu_{t-1}(r) + |g_t(i)|^2, \quad
        \mu_t(r) = \max_{i \in r} \nu_t(i)

        m_t = b_1 m_{t-1} + (1 - b_1) \, g_t / \sqrt{\nu_t + eps}

    and the update is `m_t`. With `b2 < 1` the sum becomes the average
    `b2 · min μ + (1 - b2) · |g|²`. On vectors this is AdaGrad.

    The algorithm has no momentum: `b1=0`. The default is optax's.

    Args:
      b1: decay of the average of the scaled gradients, in [0, 1).
      b2: decay of the accumulators, in [0, 1]; at 1 they are sums.
      eps: added inside the root, ≥ 0.

    The accumulators bound AdaGrad's sums from above, so steps are never longer than AdaGrad's:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_sm3(b1=0.0, eps=0.0)
    >>> state = tx.init(jnp.zeros((2, 2)))
    >>> for g in ([[4.0, 0.0], [0.0, 3.0]], [[3.0, 3.0], [4.0, 4.0]]):
    ...     update, state = tx.update(jnp.array(g), state)
    >>> update.round(3).tolist()
    [[0.6000000238418579, 0.7070000171661377], [0.800000011920929, 0.800000011920929]]
    >>> [n.ravel().tolist() for n in state.nu[0:2]]
    [[25.0, 25.0], [25.0, 25.0]]
    """

    def init(params):
        def cover(p):
            if not is_inexact(p):
                return None
            return tuple(slots(reduced(p, axes), real=True) for axes in _other_axes(jnp.ndim(p)))

        return ScaleBySM3State(slots(params), jax.tree.map(cover, params))

    def leaf(g, m, mu):
        raw, g = g, squarable(g)
        weight = jnp.where(b2 < 1, 1 - b2, 1.0)
        nu = b2 * functools.reduce(jnp.minimum, mu) + abs_sq(raw, weight)
        mu = tuple(
            saturated(nu.max(axes, keepdims=True, initial=0)) for axes in _other_axes(g.ndim)
        )
        m = b1 * m + (1 - b1) * over_root(g, nu, 0.0, eps)
        return m, m, mu

    return per_leaf(init, leaf, ("mu", "nu"))


@transformation("optimizer", example={"learning_rate": 0.5})
def sm3(learning_rate: Rate, momentum: Decay = 0.9) -> GradientTransformation:
    """SM3: `w ← w - learning_rate · u_t` with the direction of `scale_by_sm3`.

    Besides the momentum it remembers `m + n` numbers for an `m × n` matrix.

    Args:
      learning_rate: ≥ 0.
      momentum: the `b1` of `scale_by_sm3`; 0 is the algorithm of the paper.

    Without momentum the first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = sm3(0.1, momentum=0.0)
    >>> tx.update(jnp.array([30.0, -2.0]), tx.init(jnp.zeros(2)))[0].round(6).tolist()
    [-0.10000000149011612, 0.10000000149011612]
    """
    return descend(scale_by_sm3(momentum), learning_rate)
