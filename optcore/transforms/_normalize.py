"""Normalisation by a mean, by the norm of the updates, or by the size of the parameters."""

import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Hyperparameter,
    Mask,
    Rate,
    fitting,
    global_norm,
    map_leaves,
    norm_along,
    own_axes,
    per_leaf,
    refuse_part,
    safe_divide,
    select,
    transformation,
    whole_size,
)
from ._stateless import plain


@transformation("transform", example={}, all_reduces=1, whole=True)
def centralize(*, output_axis: int = -1) -> GradientTransformation:
    """Subtract, for each output of a layer, the mean over its inputs.

    `g_i ← g_i - mean(g_i)` for the weights `i` of each output (Yong et al., arXiv 2004.01461,
    equation 1), so that a step does not change the sum of the weights into an output. Scalars
    and vectors stay as they are. Flax and Keras keep the outputs on the last axis; optax takes
    the mean over all axes but the first, which is `output_axis=0`.

    Args:
      output_axis: the axis that is not averaged over.

    Raises:
      ValueError: an update has two axes or more, and `output_axis` is not among them.

    >>> import jax.numpy as jnp
    >>> tx = centralize()
    >>> grads = jnp.array([[1.0, 0.0], [3.0, 8.0]])
    >>> tx.update(grads, tx.init(grads))[0].tolist()
    [[-1.0, -4.0], [1.0, 4.0]]
    """

    def leaf(g):
        if g.ndim < 2:
            return g
        (outputs,) = own_axes("centralize: output_axis", output_axis, g)
        axes = tuple(i for i in range(g.ndim) if i != outputs)
        refuse_part(g, "centralize")
        inputs = max(g.size // max(g.shape[outputs], 1), 1)
        return g - jnp.sum(g, axes, keepdims=True) * (1 / inputs)

    return per_leaf(None, leaf)


@transformation("transform", example={}, all_reduces=1)
def normalize_by_update_norm(
    scale_factor: Hyperparameter = 1.0, eps: Rate = 1e-6
) -> GradientTransformation:
    """Scale all updates together to a given global norm.

    `g ← scale_factor · g / (‖g‖ + eps)` with the norm over all leaves, safe against overflow:
    only a norm above 3.4e38 counts as infinite.
    Updates that are all zero stay zero.

    Args:
      scale_factor: of either sign.
      eps: added to the norm, ≥ 0.

    >>> import jax.numpy as jnp
    >>> tx = normalize_by_update_norm(eps=0.0)
    >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)))[0].round(6).tolist()
    [0.6000000238418579, -0.800000011920929]
    """

    def normalized(updates, params):
        size = global_norm(updates) + eps
        # Two factors: the reciprocal of a huge norm would vanish.
        a = jnp.where(size > 2.0**64, 2.0**-64, 1.0).astype(size.dtype)
        b = safe_divide(scale_factor, size * a)
        return map_leaves(lambda g, a, b: b * (a * g), updates, scalars=(a, b), rows=True)

    return plain(normalized)


@transformation("transform", example={}, needs=("params",), all_reduces=1)
def scale_by_param_block_norm(min_scale: Rate = 1e-3) -> GradientTransformation:
    """Multiply the update of each leaf by the norm of its parameter: `u ← u · max(‖p‖, min_scale)`.

    Args:
      min_scale: the smallest factor, ≥ 0; a positive one lets a parameter at zero move.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_param_block_norm()
    >>> params = jnp.array([3.0, 4.0])
    >>> tx.update(jnp.array([1.0, -2.0]), tx.init(params), params=params)[0].tolist()
    [5.0, -10.0]
    """

    def leaf(u, p):
        return jnp.maximum(global_norm(p), min_scale) * u

    return per_leaf(None, leaf, reads=lambda params: (params,))


@transformation("transform", example={}, needs=("params",), all_reduces=1)
def scale_by_param_block_rms(min_scale: Rate = 1e-3) -> GradientTransformation:
    """Multiply the update of each leaf by the root mean square of its parameter.

    `u ← u · max(RMS(p), min_scale)`: relative step sizes (Shazeer and Stern, arXiv 1804.04235,
    section 8).

    Args:
      min_scale: the smallest factor, ≥ 0; a positive one lets a parameter at zero move.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_param_block_rms()
    >>> params = jnp.array([2.0, -2.0])
    >>> tx.update(jnp.array([1.0, 3.0]), tx.init(params), params=params)[0].round(5).tolist()
    [2.0, 6.0]
    """

    def leaf(u, p):
        rms = global_norm(p) / max(whole_size(p), 1) ** 0.5
        return jnp.maximum(rms, min_scale) * u

    return per_leaf(None, leaf, reads=lambda params: (params,))


@transformation("transform", example={}, needs=("params",), all_reduces=1)
def scale_to_param_norm(
    mask: Mask | None = None, axes: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    """Give each update the norm of its parameter: `u ← ‖p‖ · u / ‖u‖`, and 0 where `u` is 0.

    A learning rate behind it is the length of a step relative to its parameter.

    Args:
      mask: which updates are scaled, see `add_decayed_weights`.
      axes: the axes that the norms are taken over; by default all. For layers that are stacked on
        the first axis, `(-2, -1)` gives each matrix its own norm.

    Raises:
      ValueError: `update` was not given `params`, or the mask or the axes do not fit them.

    >>> import jax.numpy as jnp
    >>> tx = scale_to_param_norm()
    >>> params = jnp.array([30.0, 40.0])
    >>> tx.update(jnp.array([0.0, 0.1]), tx.init(params), params=params)[0].tolist()
    [0.0, 50.0]
    """

    def leaf(u, p):
        if p is None:
            return u
        over = own_axes("scale_to_param_norm: axes", axes, u)
        return safe_divide(u, norm_along(u, over)) * norm_along(p, over)

    def chosen(params):
        return (select("scale_to_param_norm", mask, params, params),)

    return per_leaf(fitting(None, ("scale_to_param_norm", mask)), leaf, reads=chosen)
