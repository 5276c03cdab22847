"""The sign of the updates."""

import jax.numpy as jnp

from .._core import GradientTransformation, per_leaf, transformation


@transformation("direction", example={}, per_example="single")
def scale_by_sign() -> GradientTransformation:
    """Replace every element by its sign, which is 0 for 0 and `z / |z|` for a complex `z`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_sign()
    >>> tx.update(jnp.array([300.0, -0.2, 0.0]), tx.init(jnp.zeros(3)))[0].tolist()
    [1.0, -1.0, 0.0]
    """
    return per_leaf(None, jnp.sign, rows=True)
