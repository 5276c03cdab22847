"""What all functions here compute with."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._core import norm_along, wide


def widened(x: ArrayLike) -> jax.Array:
    """An array of float32 or wider; integers become float32."""
    x = jnp.asarray(x)
    inexact = jnp.issubdtype(x.dtype, jnp.inexact)
    return x.astype(wide(x.dtype) if inexact else jnp.float32)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product of matrices at the highest precision: TF32 loses small eigenvalues."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def adjoint(x: jax.Array) -> jax.Array:
    """The transpose, of complex matrices the conjugate one."""
    return jnp.swapaxes(x, -1, -2).conj()


def identity_like(a: jax.Array) -> jax.Array:
    """An identity matrix for each matrix of a batch of square ones."""
    return jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)


def norm(x: jax.Array, *axes: int) -> jax.Array:
    """The Euclidean norm along some of the last axes, which are kept with length 1."""
    return norm_along(jnp.abs(x) if jnp.iscomplexobj(x) else x, tuple(x.ndim + i for i in axes))
