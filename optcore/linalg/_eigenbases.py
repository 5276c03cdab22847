"""Orthonormal bases of eigenvectors."""

import jax
import jax.numpy as jnp
from jax import lax

from ._products import product, widened


def eigenbasis(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The eigenvalues, in descending order, and eigenvectors of symmetric matrices.

    The derivatives are zero: those of eigenvectors are infinite where eigenvalues are equal, as
    in the identity. Values computed in the basis are differentiated with the basis held fixed.

    Args:
      a: of shape `(..., n, n)`, symmetric or Hermitian; leading axes are a batch.

    Returns:
      The eigenvalues, `(..., n)`, and the vectors as columns, `(..., n, n)`, of float32 or wider.
      A vector's sign is arbitrary.

    >>> import jax.numpy as jnp
    >>> values, vectors = eigenbasis(jnp.diag(jnp.array([1.0, 3.0])))
    >>> values.tolist(), jnp.abs(vectors).tolist()
    ([3.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    """
    values, vectors = jnp.linalg.eigh(lax.stop_gradient(widened(a)))
    return values[..., ::-1], vectors[..., ::-1]


def refresh_eigenbasis(a: jax.Array, basis: jax.Array) -> tuple[jax.Array, jax.Array]:
    r"""One step of orthogonal iteration from a basis (SOAP, arXiv 2409.11321, algorithm 4).

    The columns are first sorted by their Rayleigh quotients, largest first, and the product with
    `a` is made orthonormal:

    .. math::
        Q \leftarrow \operatorname{qr}(A \, Q_{[:, \text{order}]})

    Args:
      a: of shape `(..., n, n)`, symmetric or Hermitian; leading axes are a batch.
      basis: orthonormal columns, of the same shape.

    Returns:
      The new basis, without derivatives, and the order, int32 `(..., n)`: column `i` of the new
      basis follows from column `order[i]` of the old one. Where a product vanishes, as for a
      matrix of zeros, QR chooses the columns.

    >>> import jax.numpy as jnp
    >>> basis, order = refresh_eigenbasis(jnp.diag(jnp.array([1.0, 3.0])), jnp.eye(2))
    >>> order.tolist(), jnp.abs(basis).tolist()
    ([1, 0], [[0.0, 1.0], [1.0, 0.0]])
    """
    a, basis = lax.stop_gradient((widened(a), widened(basis)))
    powered = product(a, basis)
    quotients = jnp.sum((basis.conj() * powered).real, axis=-2)
    order = jnp.argsort(-quotients, axis=-1, stable=True).astype(jnp.int32)
    powered = jnp.take_along_axis(powered, order[..., None, :], axis=-1)
    return jnp.linalg.qr(powered)[0], order
