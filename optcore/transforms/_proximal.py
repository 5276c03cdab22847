"""Weight decay as a proximal step, behind the learning rate."""

from .._core import GradientTransformation, Mask, Rate, fitting, per_leaf, select, transformation


@transformation("transform", example={"rate": 0.01}, needs=("params",), stage="drift")
def shrink_weights(rate: Rate, mask: Mask | None = None) -> GradientTransformation:
    """Shrink the parameters that a step `u` leads to: `p + u` becomes `(p + u) / (1 + rate)`.

    Behind the learning rate and with `rate = learning_rate · weight_decay` this is the step of
    the gradient followed by the proximal step of L2 regularisation (Zhuang et al.,
    arXiv 2202.00089, eq. 6): it is implicit, so no rate overshoots. `add_decayed_weights`, in front
    of the learning rate, multiplies by `1 - rate` instead.

    Args:
      rate: ≥ 0.
      mask: which parameters shrink, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = shrink_weights(1.0)
    >>> p, step = jnp.float32(6.0), jnp.float32(-2.0)
    >>> (p + tx.update(step, tx.init(p), params=p)[0]).item()
    2.0
    """
    share = 1 / (1 + rate)

    def leaf(u, p):
        return u if p is None else share * (u - rate * p)

    def chosen(params):
        return (select("shrink_weights", mask, params, params),)

    return per_leaf(fitting(None, ("shrink_weights", mask)), leaf, reads=chosen)
