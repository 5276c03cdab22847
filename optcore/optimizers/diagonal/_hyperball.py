"""Hyperball: Adam on spheres, in steps of a given relative length."""

import jax

from ..._core import Decay, DType, GradientTransformation, Mask, Rate, transformation
from ...compose import chain
from ...transforms import (
    add_decayed_weights,
    keep_params_norm,
    matrices,
    scale_by_learning_rate,
    scale_to_param_norm,
)
from ._adam import scale_by_adam


# A large eps lets the direction vanish at a minimum inside the sphere. There, signs alone all point
# outwards and would turn a matrix away from the minimum.
@transformation("optimizer", example={"learning_rate": 0.05, "eps": 3.0}, needs=("params",))
def hyperball_adamw(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.95,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
    *,
    axes: int | tuple[int, ...] | None = None,
) -> GradientTransformation:
    r"""Adam that keeps the norm of every matrix (Wen et al., arXiv 2606.16899).

    .. math::
        w \leftarrow R \frac{w'}{\lVert w' \rVert}, \quad
        w' = w - \text{learning_rate} \cdot R \frac{u_t}{\lVert u_t \rVert}, \quad
        R = \lVert w_0 \rVert

    with the direction `u_t` of `scale_by_adam`. The learning rate is the length of a step
    relative to its parameter, about the square root of (rate times decay) of the AdamW that it
    replaces. Parameters that are not on a sphere are updated by `adamw`, and only they decay: on a
    sphere, decay has no effect of its own.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adam`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      weight_decay: of the parameters that are not on a sphere, ≥ 0.
      mask: which parameters keep their norm; by default those with two axes or more.
      axes: the axes that a norm is taken over, see `keep_params_norm`.

    Raises:
      ValueError: a parameter whose norm is kept is zero, see `keep_params_norm`, or `update` was
        not given `params`.

    The norm does not change:

    >>> import jax.numpy as jnp
    >>> tx = hyperball_adamw(0.1)
    >>> w = jnp.array([[3.0], [4.0]])
    >>> step, _ = tx.update(jnp.array([[1.0], [2.0]]), tx.init(w), params=w)
    >>> round(float(jnp.linalg.norm(w + step)), 5)
    5.0
    """
    kept = matrices if mask is None else mask

    def others(params):
        chosen = kept(params) if callable(kept) else kept
        return jax.tree.map(lambda keep: not keep, chosen)

    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype),
        add_decayed_weights(weight_decay, others),
        scale_to_param_norm(kept, axes),
        scale_by_learning_rate(learning_rate),
        keep_params_norm(kept, axes),
    )
