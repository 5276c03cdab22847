"""Fromage: steps in proportion to each leaf's norm, on weights that do not grow."""

import jax.numpy as jnp

from ..._core import GradientTransformation, Leafwise, Rate, map_leaves, transformation
from ...transforms import scale_by_trust_ratio


@transformation("optimizer", example={"learning_rate": 0.1}, needs=("params",), all_reduces=1)
def fromage(learning_rate: Rate, min_norm: Rate = 1e-6) -> GradientTransformation:
    r"""Frobenius matched gradient descent (Bernstein et al., arXiv 2002.03432, algorithm 1).

    .. math::
        w \leftarrow \frac{1}{\sqrt{1 + \eta^2}}
            \left(w - \eta \frac{\|w\|}{\|g\|} g\right)

    for each leaf, with `η` the learning rate and both norms at least `min_norm`.

    Args:
      learning_rate: ≥ 0, the length of a step relative to the weights.
      min_norm: see `scale_by_trust_ratio`.

    Raises:
      ValueError: `update` was not given `params`.

    The norm does not change if the gradient is orthogonal to the weights:

    >>> import jax.numpy as jnp
    >>> tx = fromage(0.75)
    >>> w, g = jnp.array([2.0, 0.0]), jnp.array([0.0, 5.0])
    >>> w = w + tx.update(g, tx.init(w), params=w)[0]
    >>> round(w[0].item(), 4), round(w[1].item(), 4), round(jnp.linalg.norm(w).item(), 4)
    (1.6, -1.2, 2.0)
    """
    direction = scale_by_trust_ratio(min_norm)

    def leaf(u, p, rate, change):
        return change * p - rate * u

    def update(updates, state, params=None, **extra):
        updates, state = direction.update(updates, state, params)
        # 1/√(1 + η²) - 1, which would be lost to rounding if computed as written.
        change = jnp.expm1(-0.5 * jnp.log1p(jnp.square(learning_rate)))
        scalars = (learning_rate * (1 + change), change)
        return map_leaves(leaf, updates, reads=(params,), scalars=scalars), state

    return Leafwise(direction.init, update)
