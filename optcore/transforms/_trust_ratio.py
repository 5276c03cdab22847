"""The trust ratio: each leaf moves in proportion to its own norm."""

import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Rate,
    global_norm,
    per_leaf,
    transformation,
)


@transformation("transform", example={}, needs=("params",), all_reduces=1)
def scale_by_trust_ratio(
    min_norm: Rate = 0.0, trust_coefficient: Rate = 1.0, eps: Rate = 0.0
) -> GradientTransformation:
    """Scale each leaf's update to the norm of its parameter.

    `g ← trust_coefficient · ‖p‖ / (‖g‖ + eps) · g`, with both norms at least `min_norm` (You
    et al., arXiv 1708.03888 and 1904.00962). Where one of them is 0 the update stays as it is,
    so that a parameter that starts at zero can move.

    Args:
      min_norm: lower bound of both norms, ≥ 0.
      trust_coefficient: ≥ 0.
      eps: added to the norm of the update, ≥ 0.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_trust_ratio()
    >>> params = {"w": jnp.array([0.0, 10.0]), "zero": jnp.zeros(2)}
    >>> grads = {"w": jnp.array([3.0, 4.0]), "zero": jnp.array([3.0, 4.0])}
    >>> updates, _ = tx.update(grads, tx.init(params), params=params)
    >>> updates["w"].tolist(), updates["zero"].tolist()
    ([6.0, 8.0], [3.0, 4.0])
    """

    def leaf(g, p):
        p_norm = jnp.maximum(global_norm(p), min_norm)
        g_norm = jnp.maximum(global_norm(g), min_norm)
        # The reciprocal of a smaller number is infinite.
        fixed = (p_norm == 0) | (g_norm < jnp.finfo(g_norm.dtype).tiny)
        reciprocal = 1 / (jnp.where(fixed, 1, g_norm) + eps)
        # One after the other, because the ratio itself may be infinite.
        unit = jnp.where(fixed, 1, reciprocal) * g
        return jnp.where(fixed, 1, trust_coefficient * p_norm) * unit

    return per_leaf(None, leaf, reads=lambda params: (params,))
