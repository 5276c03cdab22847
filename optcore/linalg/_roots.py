"""Inverse p-th roots of symmetric positive semi-definite matrices."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from ._products import adjoint, identity_like, product, widened


def inverse_root(
    a: jax.Array,
    p: float,
    *,
    ridge: float = 1e-12,
    relative: bool = True,
    method: Literal["eigh", "newton"] = "eigh",
    steps: int = 40,
) -> jax.Array:
    r"""`(A + r I)^{-1/p}` of a symmetric or Hermitian matrix without negative eigenvalues.

    `"eigh"` takes the powers of the eigenvalues, of which those below 0, by rounding, count as 0.
    `"newton"` needs only products of matrices (the coupled iteration of Iannazzo, 2006, as in
    Shampoo, arXiv 2002.09018). With `M = z A`, `X = z^{1/p} I` and `z = (1 + p) / (2 λ)` at first:

    .. math::
        T = \frac{(p + 1) I - M}{p}, \quad X \leftarrow X T, \quad M \leftarrow T^p M

    The derivative of `"eigh"` is exact and finite, also where eigenvalues are equal
    (Daleckii and Krein, 1965); that of `"newton"` is the derivative of the iteration.

    Args:
      a: of shape `(..., n, n)`; leading axes are a batch. Of each matrix and its adjoint the mean
        counts.
      p: the root, positive; a whole number for `"newton"`.
      ridge: `r`, at least 0; in units of the largest eigenvalue if `relative` (`"newton"`: of the
        largest row sum of absolute values, its upper bound). A matrix of zeros gives zeros with a
        relative ridge, or with `ridge=0`.
      relative: see `ridge`.
      method: see above.
      steps: of `"newton"`, at least 1; it converges quadratically once eigenvalues are near 1, and
        takes about `log(λ_max / λ_min)` steps to come there.

    Returns:
      An array like `a`, of float32 or wider.

    Raises:
      ValueError: an argument is out of range, or `a` is not square.

    >>> import jax.numpy as jnp
    >>> jnp.round(inverse_root(jnp.diag(jnp.array([4.0, 16.0])), 2), 5).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    a = widened(a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"inverse_root: a must be square matrices, got shape {a.shape}")
    if not p > 0:
        raise ValueError(f"inverse_root: p must be positive, got {p}")
    if not ridge >= 0:
        raise ValueError(f"inverse_root: ridge must be at least 0, got {ridge}")
    if not a.size:
        return a
    a = (a + adjoint(a)) / 2
    if method == "eigh":
        return _by_eigenvalues(float(p), float(ridge), bool(relative), a)
    if method != "newton":
        raise ValueError(f"inverse_root: method must be 'eigh' or 'newton', got {method!r}")
    if p != int(p):
        raise ValueError(f"inverse_root: p must be a whole number for 'newton', got {p}")
    return _by_newton(a, int(p), ridge, relative, steps)


Pair = tuple[jax.Array, jax.Array]


def _ridge(largest: jax.Array, ridge: float, relative: bool) -> jax.Array:
    return ridge * largest if relative else jnp.full_like(largest, ridge)


def _shifted(values: jax.Array, ridge: float, relative: bool) -> jax.Array:
    """The eigenvalues with the ridge."""
    values = jnp.maximum(values, 0)
    return values + _ridge(jnp.max(values, axis=-1, keepdims=True), ridge, relative)


def _root(shifted: jax.Array, p: float) -> jax.Array:
    zero = shifted == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, shifted) ** (-1 / p))


def _compose(vectors: jax.Array, values: jax.Array) -> jax.Array:
    return product(vectors * values[..., None, :].astype(vectors.dtype), adjoint(vectors))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _by_eigenvalues(p: float, ridge: float, relative: bool, a: jax.Array) -> jax.Array:
    values, vectors = jnp.linalg.eigh(a, symmetrize_input=False)
    return _compose(vectors, _root(_shifted(values, ridge, relative), p))


@_by_eigenvalues.defjvp
def _derivative(
    p: float, ridge: float, relative: bool, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (a,), (da,) = primals, tangents
    values, vectors = jnp.linalg.eigh(a, symmetrize_input=False)
    shifted = _shifted(values, ridge, relative)
    roots = _root(shifted, p)
    inner = product(product(adjoint(vectors), da), vectors)
    # The ridge follows the largest eigenvalue.
    if relative:
        largest = jnp.argmax(values, axis=-1, keepdims=True)
        diagonal = jnp.diagonal(inner, axis1=-2, axis2=-1)
        moved = ridge * jnp.take_along_axis(diagonal, largest, axis=-1)
        inner = inner + moved[..., None] * identity_like(a)
    quotients = _divided_differences(values, shifted, roots, p)
    return _compose(vectors, roots), product(
        product(vectors, quotients.astype(inner.dtype) * inner), adjoint(vectors)
    )


def _divided_differences(
    values: jax.Array, shifted: jax.Array, roots: jax.Array, p: float
) -> jax.Array:
    """`(f(x_i) - f(x_j)) / (x_i - x_j)` of the root `f`, and `f'` where the two are close."""

    def pairs(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return x[..., :, None], x[..., None, :]

    middle = sum(pairs(shifted)) / 2
    flat = (middle == 0) | (sum(pairs(values)) < 0)
    slope = jnp.where(flat, 0, -(jnp.where(middle == 0, 1, middle) ** (-1 / p - 1)) / p)
    left, right = pairs(values)
    # The error of the slope in the middle grows with the gap, that of the quotient falls.
    close = jnp.abs(left - right) <= jnp.finfo(values.dtype).eps ** (1 / 3) * middle
    first, second = pairs(roots)
    return jnp.where(close, slope, (first - second) / jnp.where(close, 1, left - right))


def _by_newton(a: jax.Array, p: int, ridge: float, relative: bool, steps: int) -> jax.Array:
    one = identity_like(a)
    a = a + _ridge(_bound(a), ridge, relative).astype(a.dtype) * one
    # Any scale gives the same root, so it is a constant for the derivative.
    scale = lax.stop_gradient(_bound(a))
    zero = scale == 0
    scale = jnp.where(zero, 1, scale)
    z = (1 + p) / 2

    def step(carry: Pair, _: None) -> tuple[Pair, None]:
        x, m = carry
        t = ((p + 1) * one - m) / p
        power = t
        for _i in range(p - 1):
            power = product(power, t)
        return (product(x, t), product(power, m)), None

    (x, _), _ = lax.scan(step, (z ** (1 / p) * one, z * a / scale.astype(a.dtype)), length=steps)
    return jnp.where(zero, 0, x * (scale ** (-1 / p)).astype(a.dtype))


def _bound(a: jax.Array) -> jax.Array:
    """An upper bound of the eigenvalues: the largest sum of absolute values in a row."""
    return jnp.max(jnp.sum(jnp.abs(a), axis=-1), axis=-1)[..., None, None]
