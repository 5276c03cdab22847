"""Safe numerics: bias correction, roots, norms and step counts."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives
from jax.typing import ArrayLike


def zero_count() -> jax.Array:
    """The step count of a new state: an int32 scalar, 0.

    >>> zero_count()
    Array(0, dtype=int32)
    """
    return jnp.zeros((), jnp.int32)


def increment(count: jax.Array) -> jax.Array:
    """The next step count; an int32 count stays at 2³¹−1 rather than wrap around.

    >>> import jax.numpy as jnp
    >>> int(increment(jnp.int32(2**31 - 1)))
    2147483647
    """
    last = np.array(jnp.iinfo(count.dtype).max, count.dtype)
    one = np.array(1, count.dtype)
    return jnp.where(count < last, count + one, last)


def whole(value: Any) -> int | None:
    """A whole number as an int, also from a float; `None` for everything else.

    >>> whole(10.0), whole(10.5), whole(True)
    (10, None, None)
    """
    if isinstance(value, jax.core.Tracer):
        return None
    if isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return None


def weak(value: jax.Array) -> jax.Array:
    """The same number with a weak type, so that it acts on any leaf as a Python float would."""
    return primitives.convert_element_type_p.bind(
        value, new_dtype=np.dtype(value.dtype), weak_type=True, sharding=None
    )


def debias(decay: ArrayLike, count: jax.Array) -> jax.Array:
    """`1 - decay**count` without cancellation for decays near 1.

    Args:
      decay: in [0, 1), a number or a traced scalar.
      count: number of steps made, an integer scalar ≥ 0.

    Returns:
      A float32 scalar (float64 if JAX's x64 mode is on). Defined, with a finite derivative in
      `decay`, at `decay = 0` and at `count = 0` (where it is 0).

    >>> import jax.numpy as jnp
    >>> round(float(debias(0.9, jnp.int32(1))), 6), float(debias(0.0, jnp.int32(3)))
    (0.1, 1.0)
    """
    if isinstance(decay, (int, float)):
        # The logarithm of a constant is taken in double precision: float32(0.9999) is off by 3e-8.
        return _complement(count, math.log(decay) if decay > 0 else -math.inf)
    return _traced_debias(decay, count)


def _complement(count: jax.Array, log_decay: ArrayLike) -> jax.Array:
    """`1 - exp(count · log_decay)`, where `0 · -inf` counts as 0."""
    dtype = getattr(log_decay, "dtype", jnp.result_type(float))
    t = count.astype(dtype)
    product = jnp.where(count == 0, jnp.zeros((), dtype), t * jnp.asarray(log_decay, dtype))
    return -jnp.expm1(product)


@jax.custom_jvp
def _traced_debias(decay: jax.Array, count: jax.Array) -> jax.Array:
    return _complement(count, jnp.log(jnp.asarray(decay)))


@_traced_debias.defjvp
def _traced_debias_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    decay, count = primals
    decay_dot, _ = tangents
    before = jnp.maximum(count, 1) - 1
    power = 1 - _traced_debias(decay, before)
    slope = -count.astype(power.dtype) * power
    return _traced_debias(decay, count), slope * decay_dot


_NEAR_ZERO = 2.0**-40
"""A denominator below this bound counts as constant in derivatives, and so does a square root.

Second-order derivatives contain the third power of its reciprocal, which would overflow, and
infinity times the zero beside it is NaN.
"""


def _steady(f: Any, b: jax.Array, least: float, *a: Any) -> jax.Array:
    """`f(*a, b)`, with derivative 0 where `|b| < least`."""
    near = jnp.abs(b) < least
    frozen = f(*map(jax.lax.stop_gradient, (*a, b)))
    return jnp.where(near, frozen, f(*a, jnp.where(near, 1, b)))


@jax.custom_jvp
def safe_sqrt(x: jax.Array) -> jax.Array:
    """The square root, with derivative 0 at 0, which keeps gradients through an update finite.

    >>> import jax
    >>> float(jax.grad(safe_sqrt)(0.0)), float(jax.grad(safe_sqrt)(4.0))
    (0.0, 0.25)
    """
    return jnp.sqrt(x)


@safe_sqrt.defjvp
def _safe_sqrt_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x,), (x_dot,) = primals, tangents
    positive = x > 0
    slope = _steady(_half_over_sqrt, jnp.where(positive, x, 1), _NEAR_ZERO**2)
    return safe_sqrt(x), jnp.where(positive, slope, 0) * x_dot


def _half_over_sqrt(x: jax.Array) -> jax.Array:
    return 0.5 / jnp.sqrt(x)


@jax.custom_jvp
def _quotient(a: jax.Array, b: jax.Array) -> jax.Array:
    return a / b


@_quotient.defjvp
def _quotient_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (a, b), (a_dot, b_dot) = primals, tangents
    with jax.numpy_dtype_promotion("standard"):
        q, reciprocal = (_steady(_quotient, b, _NEAR_ZERO, x) for x in (a, jnp.ones_like(b)))
        return q, reciprocal * (a_dot - q * b_dot)


def safe_divide(a: ArrayLike, b: jax.Array) -> jax.Array:
    """`a / b`, and 0 where `b` is 0; derivatives are finite there too.

    Args:
      a: the numerator, real or complex.
      b: the denominator, real.

    >>> import jax.numpy as jnp
    >>> safe_divide(3.0, jnp.array([4.0, 0.0])).tolist()
    [0.75, 0.0]
    """
    zero = b == 0
    a = jnp.asarray(a, b.dtype) if isinstance(a, (int, float)) else a
    return jnp.where(zero, 0, _quotient(a, jnp.where(zero, 1, b)))


def over_root(g: jax.Array, nu: jax.Array, eps: ArrayLike, eps_root: ArrayLike) -> jax.Array:
    """`g / (√(nu + eps_root) + eps)`, and 0 where that is 0/0, without any gradient so far.

    Args:
      g: the numerator, real or complex.
      nu: a second moment, ≥ 0.
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.

    >>> import jax.numpy as jnp
    >>> over_root(jnp.array([3.0, 0.0]), jnp.array([4.0, 0.0]), 0.0, 0.0).tolist()
    [1.5, 0.0]
    """
    root = safe_sqrt(nu + eps_root) + eps
    # Numbers below the smallest normal one count as 0.
    tiny = float(jnp.finfo(root.dtype).tiny)
    if any(isinstance(x, float) and x >= tiny for x in (eps, eps_root)):
        return _quotient(g, root)
    return safe_divide(g, root)


def add_multiple(u: jax.Array, factor: ArrayLike, x: jax.Array) -> jax.Array:
    """`u + factor · x`; where the factor is the constant 0, `x` is not read.

    >>> import jax.numpy as jnp
    >>> u, x = jnp.float32(1.0), jnp.float32(jnp.inf)
    >>> add_multiple(u, 0.5, u).item(), add_multiple(u, 0.0, x).item()
    (1.5, 1.0)
    """
    if isinstance(factor, float) and factor == 0:
        return u
    return u + factor * x


def abs_sq(x: jax.Array, weight: ArrayLike | None = None, *, summed: bool = False) -> jax.Array:
    """`|x|²`, real also for complex `x`; with a weight `weight · |x|²`, the term of a moment.

    The weight is multiplied in first: a moment and a norm that both need `x·x` would otherwise
    make XLA compute it once and store it, at the cost of a pass over memory.

    No finite number makes the term of a moment infinite: the squared number is bounded, at 2⁶² in
    float32, which leaves room for bias correction. After a huge gradient, the average and the steps
    recover at the rate of the decay. Gradients averaged beside the squares must be `squarable`, or
    steps would be too long by the same factor. An infinity gives NaN, so it is not hidden. Sums are
    `saturated`; if they are taken over axes, with `summed`, nothing else is bounded, because XLA
    would store it.

    >>> import jax.numpy as jnp
    >>> float(abs_sq(jnp.complex64(3 + 4j)))
    25.0
    >>> float(abs_sq(jnp.float32(1e30), 0.5)) == 0.5 * 2.0**124
    True
    """
    if jnp.iscomplexobj(x):
        real, imag = x.real, x.imag
        return abs_sq(real, weight, summed=summed) + abs_sq(imag, weight, summed=summed)
    if weight is None:
        return x * x
    if summed:
        return jnp.multiply(weight, x) * x
    bounded = _bounded(x)
    return jnp.multiply(weight, bounded) * bounded + 0 * x


def squarable(x: jax.Array, *, spoilt: bool = False) -> jax.Array:
    """A gradient with the bound that `abs_sq` applies with a weight: about 2⁶² in float32.

    Use it for first moments beside second ones. An infinity is bounded too, because it shows in the
    second moment; where that is `saturated`, `spoilt` makes it NaN instead. Each part of a complex
    number is bounded by itself.

    >>> import jax.numpy as jnp
    >>> [float(x) for x in squarable(jnp.array([3.0, -1e30])) / 2.0**62 * jnp.array([2.0**62, 1])]
    [3.0, -0.9999990463256836]
    """
    if jnp.iscomplexobj(x):
        parts = squarable(x.real, spoilt=spoilt), squarable(x.imag, spoilt=spoilt)
        return jax.lax.complex(*parts)
    # Not quite the bound of the squares: XLA would store a value that both use.
    bounded = _bounded(x, 1 - 2.0**-20)
    return bounded + 0 * x if spoilt else bounded


def _bounded(x: jax.Array, share: float = 1.0) -> jax.Array:
    """`x`, at most a quarter of the smallest number whose square overflows, or a share of it."""
    bound = share * 2.0 ** (int(jnp.finfo(x.dtype).maxexp) // 2 - 2)
    return jnp.minimum(jnp.maximum(x, -bound), bound)


def saturated(total: jax.Array, weight: ArrayLike = 1.0) -> jax.Array:
    """A sum of squares, at most 2¹²⁴ in float32, so that one more can be added; NaN stays NaN.

    With a weight, that of the squares in the sum, the bound is multiplied by it.

    >>> import jax.numpy as jnp
    >>> float(saturated(jnp.float32(jnp.inf))) == 2.0**124
    True
    """
    return jnp.minimum(total, weight * 2.0 ** (int(jnp.finfo(total.dtype).maxexp) - 4))


def wide(dtype: Any) -> Any:
    """The dtype to compute in: float32 for bfloat16 and float16, otherwise the same.

    >>> import jax.numpy as jnp
    >>> wide(jnp.bfloat16), wide(jnp.complex64)
    (dtype('float32'), dtype('complex64'))
    """
    dtype = np.dtype(jax.dtypes.canonicalize_dtype(dtype))
    narrow = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return np.dtype(np.float32) if narrow else dtype


def is_inexact(x: Any) -> bool:
    """Whether a leaf can be optimized: a floating-point or complex array or number."""
    if isinstance(x, (float, complex)):
        return True
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact)


def shrink(size: jax.Array, limit: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Two factors with the product `min(1, limit / size)`: for huge sizes one would vanish.

    NaN if `size` is NaN, which must not pass for small.

    Args:
      size: a norm, ≥ 0.
      limit: the largest norm allowed, ≥ 0.

    >>> import jax.numpy as jnp
    >>> [float(a * b) for a, b in (shrink(jnp.float32(x), 2.0) for x in (0.0, 1.0, 8.0))]
    [1.0, 1.0, 0.25]
    """
    within = size <= limit
    first = jnp.where(size > 2.0**64, 2.0**-64, 1.0).astype(size.dtype)
    return first, jnp.where(within, 1 / first, limit / jnp.where(within, 1, size * first))
