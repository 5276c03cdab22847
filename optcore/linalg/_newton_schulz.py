"""The polar factor of a matrix, by products of matrices."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from .._core import safe_divide
from ._coefficients import Coefficients, keller
from ._products import adjoint, identity_like, norm, product, widened
from ._spectral_norm import spectral_norm

Scaling = Literal["frobenius", "spectral", "aol"]

GRAM_FROM = 1.5
"""From this ratio of the longer to the shorter side on, the Gram form needs fewer products."""


def newton_schulz(
    x: jax.Array,
    coefficients: Coefficients | None = None,
    *,
    scaling: Scaling | None = "frobenius",
    factor: float = 1.0,
    eps: float = 1e-7,
    gram: bool | None = False,
    dtype: Any = None,
) -> jax.Array:
    r"""The orthogonal factor `U Vᵀ` of `x = U Σ Vᵀ`, up to the error of the polynomials.

    With the polynomials `a s + b s³ + c s⁵`, one after another, of the scaled matrix:

    .. math::
        X \leftarrow a X + (b A + c A^2) X, \quad A = X X^T

    Each singular value becomes the composed polynomial of itself; singular vectors do not
    change. The shorter side is that of `A`, so `f(Xᵀ) = f(X)ᵀ`. Complex matrices are allowed.

    Args:
      x: of shape `(..., m, n)`; leading axes are a batch.
      coefficients: `(a, b, c)` of each step, such as `polar_express()`; `None` is `keller()`.
      scaling: what brings singular values below 1: division by the Frobenius norm; by an estimate
        of the spectral norm; `"aol"`, which divides each row of the shorter side by the root of
        its sum of absolute values in `A` (Boissin et al., arXiv 2512.04632) and so changes the
        singular vectors too; or `None`, if they are below 1 already.
      factor: the norm is multiplied by it, at least 1; it has no effect on `"aol"`.
      eps: is added to the norm, at least 0. A matrix of zeros stays zero.
      gram: whether the steps act on `A`, and `X` is multiplied once at the end of two stages; the
        result is the same up to rounding, which is larger. `None`: where the longer side is
        more than 1.5 times the shorter one.
      dtype: of the products: `None` is float32 or wider, at the highest precision; `"bfloat16"`
        is faster, with errors of a few hundredths.

    Returns:
      An array like `x`, of float32 or wider.

    Raises:
      ValueError: `x` has fewer than two axes, or `scaling` is unknown.

    >>> import jax.numpy as jnp
    >>> from optcore.linalg import polar_express
    >>> x = jnp.array([[3.0, 0.0, 0.0], [0.0, 0.01, 0.0]])
    >>> jnp.round(newton_schulz(x, polar_express()), 4).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    x = widened(x)
    if x.ndim < 2:
        raise ValueError(f"newton_schulz: x must have at least two axes, got shape {x.shape}")
    if not x.size:
        return x
    rows, columns = x.shape[-2:]
    tall, given = rows > columns, x.dtype
    x = jnp.swapaxes(x, -1, -2) if tall else x
    x = _scaled(x, scaling, factor, eps)
    if dtype is not None:
        x = x.astype(dtype)
    if gram is None:
        gram = max(rows, columns) > GRAM_FROM * min(rows, columns)
    steps = keller() if coefficients is None else list(coefficients)
    x = _on_gram(x, steps) if gram else _direct(x, steps)
    return (jnp.swapaxes(x, -1, -2) if tall else x).astype(given)


def _scaled(x: jax.Array, scaling: Scaling | None, factor: float, eps: float) -> jax.Array:
    if scaling is None:
        return x
    if scaling == "aol":
        sums = jnp.sum(jnp.abs(product(x, adjoint(x))), axis=-1, keepdims=True)
        return jnp.where(sums > 0, x * lax.rsqrt(jnp.where(sums > 0, sums, 1)), 0)
    if scaling == "frobenius":
        size = norm(x, -2, -1)
    elif scaling == "spectral":
        size = spectral_norm(x)[..., None, None]
    else:
        raise ValueError(
            "newton_schulz: scaling must be 'frobenius', 'spectral', 'aol' or None, got "
            f"{scaling!r}"
        )
    return x * safe_divide(1.0, factor * size + eps).astype(x.dtype)


def _inner(square: jax.Array, b: float, c: float) -> jax.Array:
    """`b A + c A²`."""
    return b * square + c * product(square, square) if c else b * square


def _direct(x: jax.Array, steps: Coefficients) -> jax.Array:
    for a, b, c in steps:
        x = a * x + product(_inner(product(x, adjoint(x)), b, c), x)
    return x


def _on_gram(x: jax.Array, steps: Coefficients) -> jax.Array:
    """The same with `X = Q X₀`: what a step multiplies is `Q` and `A`, both of the shorter side.

    After two steps `X` is multiplied and `A` computed again, since rounding errors in `A` grow.
    """
    steps = list(steps)
    for stage in (steps[:2], steps[2:]):
        square, q = product(x, adjoint(x)), None
        for i, (a, b, c) in enumerate(stage):
            p = a * identity_like(square) + _inner(square, b, c)
            q = p if q is None else product(p, q)
            if i < len(stage) - 1:
                square = product(product(p, square), p)
        x = x if q is None else product(q, x)
    return x


def polar_flops(rows: int, columns: int, coefficients: Coefficients, gram: bool) -> int:
    """How many floating-point operations the products of `newton_schulz` take.

    >>> polar_flops(64, 128, keller(), False) == 5 * (2 * 2 * 64**2 * 128 + 2 * 64**3)
    True
    """
    n, m = sorted((rows, columns))
    small, large = 2 * n**3, 2 * n**2 * m
    quintic = [bool(c) for _, _, c in coefficients]
    if not gram:
        return sum(2 * large + small * q for q in quintic)
    total = 0
    for stage in (quintic[:2], quintic[2:]):
        if stage:
            total += 2 * large + small * (sum(stage) + 3 * (len(stage) - 1))
    return total
