"""Clipping: by value, by each leaf's norm, by the global norm, by root mean square, unit-wise."""

import jax
import jax.numpy as jnp

from .._core import (
    Bound,
    GradientTransformation,
    Rate,
    global_norm,
    map_leaves,
    norm_along,
    own_axes,
    per_leaf,
    refuse_part,
    shrink,
    transformation,
    whole_size,
)
from ._stateless import plain


@transformation("transform", example={"max_delta": 0.5}, per_example="single")
def clip(max_delta: Bound) -> GradientTransformation:
    """Clip every element to `[-max_delta, max_delta]`; for complex ones, both parts.

    >>> import jax.numpy as jnp
    >>> tx = clip(1.0)
    >>> tx.update(jnp.array([-3.0, 0.5]), tx.init(jnp.zeros(2)))[0].tolist()
    [-1.0, 0.5]
    """

    def bounded(g):
        return jnp.minimum(jnp.maximum(g, -max_delta), max_delta)

    def leaf(g):
        if jnp.iscomplexobj(g):
            return jax.lax.complex(bounded(g.real), bounded(g.imag))
        return bounded(g)

    return per_leaf(None, leaf, rows=True)


@transformation("transform", example={"max_norm": 0.5}, all_reduces=1)
def clip_by_global_norm(max_norm: Bound) -> GradientTransformation:
    """Scale all updates together so that their global norm is at most `max_norm`.

    `g ← g · min(1, max_norm / ‖g‖)` with the norm over all leaves (Pascanu et al.,
    arXiv 1211.5063, algorithm 1), in float32, safe against overflow:
    only a norm above 3.4e38 counts as infinite.

    Args:
      max_norm: ≥ 0; infinity means no clipping.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_global_norm(1.0)
    >>> tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))[0].round(6).tolist()
    [0.6000000238418579, 0.800000011920929]
    """

    def clipped(updates, params):
        factors = shrink(global_norm(updates), max_norm)
        return map_leaves(lambda g, a, b: b * (a * g), updates, scalars=factors, rows=True)

    return plain(clipped)


@transformation("transform", example={"max_norm": 0.5}, all_reduces=1)
def clip_by_norm(max_norm: Bound) -> GradientTransformation:
    """Scale each leaf by itself so that its own norm is at most `max_norm` (Keras' `clipnorm`).

    Args:
      max_norm: ≥ 0; infinity means no clipping.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_norm(1.0)
    >>> grads = {"large": jnp.array([3.0, 4.0]), "small": jnp.array([0.5])}
    >>> clipped, _ = tx.update(grads, tx.init(grads))
    >>> {name: round(float(jnp.linalg.norm(g)), 6) for name, g in clipped.items()}
    {'large': 1.0, 'small': 0.5}
    """

    def leaf(g):
        a, b = shrink(global_norm(g), max_norm)
        return b * (a * g)

    return per_leaf(None, leaf, rows=True)


@transformation("transform", example={"threshold": 0.5}, all_reduces=1)
def clip_by_block_rms(threshold: Bound) -> GradientTransformation:
    """Scale each leaf so that its root mean square is at most `threshold`.

    `g ← g / max(1, RMS(g) / threshold)` (Shazeer and Stern, arXiv 1804.04235, section 6).

    Args:
      threshold: ≥ 0; infinity means no clipping.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_block_rms(1.0)
    >>> tx.update(jnp.array([2.0, -2.0]), tx.init(jnp.zeros(2)))[0].tolist()
    [1.0, -1.0]
    """

    def leaf(g):
        rms = global_norm(g) / max(whole_size(g), 1) ** 0.5
        a, b = shrink(rms, threshold)
        return b * (a * g)

    return per_leaf(None, leaf)


def unit_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of one unit, by the convention of dense and convolutional layers.

    All axes of a scalar or vector; the first axis (inputs) for rank 2 and 3; all but the last for
    higher ranks.
    """
    if sum(n > 1 for n in shape) <= 1:
        return tuple(range(len(shape)))
    return (0,) if len(shape) <= 3 else tuple(range(len(shape) - 1))


def _units(x: jax.Array) -> tuple[int, ...]:
    """`unit_axes` of a whole array; those of a part may differ."""
    if x.ndim > 1:
        refuse_part(x, "a norm of each unit")
    return unit_axes(x.shape)


def unitwise_norm(x: jax.Array, axis: int | tuple[int, ...] | None = None) -> jax.Array:
    """The norm of the unit that each element belongs to, in the shape of `x`.

    Args:
      x: an array.
      axis: the axes that make up one unit, see `adaptive_grad_clip`.

    >>> import jax.numpy as jnp
    >>> unitwise_norm(jnp.array([[3.0, 1.0], [4.0, 0.0]])).tolist()
    [[5.0, 1.0], [5.0, 1.0]]
    """
    return jnp.broadcast_to(norm_along(x, _units(x) if axis is None else axis), x.shape)


def unitwise_clip(g_norm: jax.Array, max_norm: jax.Array, grad: jax.Array) -> jax.Array:
    """Scale `grad` by `min(1, max_norm / g_norm)`, element by element.

    Args:
      g_norm: the norm of each element's unit, ≥ 0; its shape broadcasts to that of `grad`.
      max_norm: the largest norm allowed, ≥ 0, which broadcasts likewise.
      grad: an array.

    >>> import jax.numpy as jnp
    >>> grad = jnp.array([[3.0, 1.0], [4.0, 0.0]])
    >>> unitwise_clip(unitwise_norm(grad), jnp.array([[2.5, 2.5]]), grad).tolist()
    [[1.5, 1.0], [2.0, 0.0]]
    """
    a, b = shrink(g_norm, max_norm)
    return b * (a * grad)


@transformation(
    "transform", example={"clipping": 0.01}, needs=("params",), all_reduces=1, whole=True
)
def adaptive_grad_clip(
    clipping: Bound, eps: Rate = 1e-3, axis: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    """Clip the gradient of each unit relative to the norm of the unit's weights.

    For the unit `i` with weights `W_i` and gradient `G_i`, `G_i` is scaled to the norm
    `clipping · max(‖W_i‖, eps)` if its norm is larger (Brock et al., arXiv 2102.06171, eq. 3).

    Args:
      clipping: the largest ratio of the two norms, ≥ 0.
      eps: lower bound of the weights' norm, ≥ 0, so that zero-initialised weights can move.
      axis: the axes that make up one unit; by default all of a vector, the first axis of a
        matrix or rank-3 array, and all but the last of arrays of higher rank.

    Raises:
      ValueError: `update` was not given `params`, or the axes do not fit them.

    >>> import jax.numpy as jnp
    >>> tx = adaptive_grad_clip(0.1)
    >>> params, grads = jnp.array([[3.0], [4.0]]), jnp.array([[30.0], [40.0]])
    >>> tx.update(grads, tx.init(params), params=params)[0].round(4).tolist()
    [[0.30000001192092896], [0.4000000059604645]]
    """
    where = "adaptive_grad_clip: axis"

    def leaf(g, p):
        axes = _units(g) if axis is None else own_axes(where, axis, g)
        limit = clipping * jnp.maximum(norm_along(p, axes), eps)
        return unitwise_clip(norm_along(g, axes), limit, g)

    return per_leaf(None, leaf, reads=lambda params: (params,))
