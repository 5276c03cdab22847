"""SM3: the root of the smallest of a few maxima of sums of squares."""

import functools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    GradientTransformation,
    Hyperparameter,
    Leafwise,
    Range,
    Rate,
    Updates,
    abs_sq,
    is_inexact,
    map_leaves,
    over_root,
    refuse_part,
    saturated,
    slots,
    squarable,
    transformation,
)
from ...compose import descend
from ._shared import without


class ScaleBySM3State(NamedTuple):
    """The accumulators.

    Attributes:
      mu: running average of the scaled gradients, like the parameters.
      nu: one tree per axis. For each parameter, the tree of an axis has a real vector with the
        length of that axis (and length 1 along the others), and `None` for a parameter with fewer
        axes. The first tree has one number for a scalar.
    """

    mu: Updates
    nu: tuple[Updates, ...]


def _cover(ndim: int) -> list[tuple[int, ...]]:
    """For every vector of a cover, the axes that it does not run along; a scalar has one vector."""
    return [tuple(j for j in range(ndim) if j != i) for i in range(max(ndim, 1))]


@transformation("direction", example={}, all_reduces=1, whole=True)
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

    The published algorithm has no momentum: `b1=0`. The default is optax's.

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
        def along(number):
            def kept(p):
                cover = _cover(jnp.ndim(p))
                return without(jnp.ndim(p), cover[number]) if number < len(cover) else None

            return slots(params, real=True, axes=kept)

        most = max((jnp.ndim(p) for p in jax.tree.leaves(params) if is_inexact(p)), default=1)
        return ScaleBySM3State(slots(params), tuple(map(along, range(max(most, 1)))))

    def leaf(g, m, *mu):
        cover = _cover(g.ndim)
        if g.ndim > 1:
            refuse_part(g, "the largest second moment along an axis")
        raw, g = g, squarable(g)
        weight = jnp.where(b2 < 1, 1 - b2, 1.0)
        nu = b2 * functools.reduce(jnp.minimum, mu[: len(cover)]) + abs_sq(raw, weight)
        m = b1 * m + (1 - b1) * over_root(g, nu, 0.0, eps)
        vectors = [saturated(nu.max(axes, keepdims=True, initial=0)) for axes in cover]
        return m, m, *vectors, *mu[len(cover) :]

    def update(updates, state, params=None, **extra):
        updates, m, *mu = map_leaves(leaf, updates, (state.mu, *state.nu))
        return updates, ScaleBySM3State(m, tuple(mu))

    return Leafwise(init, update)


@transformation("optimizer", example={"learning_rate": 0.5})
def sm3(learning_rate: Rate, momentum: Decay = 0.9) -> GradientTransformation:
    """SM3: `w ← w - learning_rate · u_t` with the direction of `scale_by_sm3`.

    Besides the momentum, its state has `m + n` numbers for an `m × n` matrix.

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
