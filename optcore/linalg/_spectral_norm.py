"""The largest singular value."""

import jax
import jax.numpy as jnp
from jax import lax

from .._core import safe_divide
from ._products import adjoint, norm, product, widened


def spectral_norm(x: jax.Array, steps: int = 20) -> jax.Array:
    """The largest singular value of a matrix, estimated from below by power iteration.

    The iteration starts from the longest row. The estimate is at least that row's length, and
    exact in the limit, unless the row is orthogonal to the first singular vector.

    Args:
      x: of shape `(..., m, n)`; leading axes are a batch.
      steps: products with `xᵀ x`, at least 0.

    Returns:
      An array of shape `(...)`, of float32 or wider; 0 for a matrix of zeros, and there its
      derivative is 0 too.

    >>> import jax.numpy as jnp
    >>> spectral_norm(jnp.diag(jnp.array([3.0, 2.0]))).item()
    3.0
    """
    x = widened(x)
    if not x.size:
        return jnp.zeros(x.shape[:-2], x.real.dtype)
    lengths = norm(x, -1)
    longest = jnp.argmax(lengths, axis=-2, keepdims=True)
    row = jnp.take_along_axis(x, longest, axis=-2).conj()
    v = _unit(jnp.swapaxes(row, -1, -2))

    def step(v: jax.Array, _: None) -> tuple[jax.Array, None]:
        u = _unit(product(x, v))
        return _unit(product(adjoint(x), u)), None

    # The vector is a constant: the derivative of the norm is that with the vectors held.
    v, _ = lax.scan(step, lax.stop_gradient(v), length=steps)
    return norm(product(x, lax.stop_gradient(v)), -2)[..., 0, 0]


def _unit(column: jax.Array) -> jax.Array:
    return column * safe_divide(1.0, norm(column, -2)).astype(column.dtype)
