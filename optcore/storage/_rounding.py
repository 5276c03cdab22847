"""Rounding float32 to a narrower parameter dtype, to nearest or stochastically."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_EXPONENT = np.uint32(0x7F800000)
_UPPER = np.uint32(0xFFFF0000)

# Results are float32 and are rounded by float32 arithmetic, because XLA may drop a conversion there
# and back. Rounding has the derivative 1, so that a run can be differentiated.


def is_narrow(x: Any) -> bool:
    """Whether a leaf is a bfloat16 or float16 array."""
    return getattr(x, "dtype", None) in (jnp.bfloat16, jnp.float16)


def spacing(x: jax.Array, digits: int, lowest: int) -> jax.Array:
    """The distance between neighbours around finite `x`, in a format of `digits` binary digits.

    Args:
      x: float32.
      digits: of the significand after the binary point.
      lowest: exponent of the smallest normal number.
    """
    bits = lax.bitcast_convert_type(x, jnp.uint32) & _EXPONENT
    power = lax.bitcast_convert_type(bits, jnp.float32)
    return jnp.maximum(power * 2.0**-digits, 2.0 ** (lowest - digits))


def on_grid(x: jax.Array, digits: int, lowest: int) -> jax.Array:
    """Round finite `x` to the nearest number of a format, ties to even; without an upper bound."""
    step = spacing(x, digits, lowest)
    return lax.round(x / step, lax.RoundingMethod.TO_NEAREST_EVEN) * step


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def nearest(x: jax.Array, dtype: Any) -> jax.Array:
    """`x` rounded to the nearest number of bfloat16 or float16, ties to even, as float32.

    >>> import jax.numpy as jnp
    >>> nearest(jnp.float32(1 + 2**-8 + 2**-20), jnp.bfloat16).item()
    1.0078125
    """
    if dtype == jnp.bfloat16:
        return lax.reduce_precision(x, 8, 7)
    # `reduce_precision` would flush the subnormal numbers of float16.
    rounded = on_grid(x, 10, -14)
    rounded = jnp.where(jnp.abs(rounded) > 65504, jnp.copysign(jnp.inf, x), rounded)
    return jnp.where(jnp.isfinite(x), rounded, x)


@nearest.defjvp
def _nearest_jvp(dtype: Any, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return nearest(primals[0], dtype), tangents[0]


def stochastic(x: jax.Array, dtype: Any, key: jax.Array) -> jax.Array:
    """`x` rounded to one of its two neighbours in bfloat16 or float16, as float32.

    The probability of the upper neighbour is the relative distance of `x` from the lower one, in
    multiples of 2⁻¹⁶, so the expectation is `x`. Numbers that are finite in the format stay finite.

    >>> import jax, jax.numpy as jnp
    >>> x = jnp.full(1000, 1 + 2**-9)
    >>> drawn = stochastic(x, jnp.bfloat16, jax.random.key(0))
    >>> sorted(set(drawn.tolist())), round(drawn.mean().item(), 3)
    ([1.0, 1.0078125], 1.002)
    """
    return _stochastic(x, jax.random.bits(key, x.shape, jnp.uint16), dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _stochastic(x: jax.Array, drawn: jax.Array, dtype: Any) -> jax.Array:
    if dtype == jnp.bfloat16:
        bits = lax.bitcast_convert_type(x, jnp.uint32)
        rest = (bits & ~_UPPER).astype(jnp.uint16)
        up = (drawn < rest).astype(jnp.uint32) << np.uint32(16)
        low, high = bits & _UPPER, (bits & _UPPER) + up
        high = jnp.where(high & _EXPONENT == _EXPONENT, low, high)
        rounded = lax.bitcast_convert_type(high, jnp.float32)
    else:
        step = spacing(x, 10, -14)
        parts = x / step
        below = jnp.floor(parts)
        up = drawn.astype(jnp.float32) * 2.0**-16 < parts - below
        rounded = jnp.where(up, below + 1, below) * step
        # No expectation can be kept between the largest float16 and infinity.
        rounded = jnp.where(jnp.abs(x) <= 65504, rounded, nearest(x, dtype))
    return jnp.where(jnp.isfinite(x), rounded, x)


@_stochastic.defjvp
def _stochastic_jvp(dtype: Any, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return _stochastic(*primals, dtype), tangents[0]


def split_bits(x: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The nearest bfloat16 (as float32), and the remaining `count` bits of `x`.

    `x` is rounded to `16 + count` bits first. Ties round away from zero: with ties to even, 65537
    numbers would round to one even bfloat16, one more than 16 bits can distinguish.

    >>> import jax.numpy as jnp
    >>> p, rest = split_bits(jnp.float32(0.1), 16)
    >>> p.item(), join_bits(p, rest) == jnp.float32(0.1)
    (0.10009765625, Array(True, dtype=bool))
    """
    mask = np.uint32((1 << count) - 1)
    return _upper(x, count), (_kept(x, count) & mask).astype(f"uint{count}")


def _kept(x: jax.Array, count: int) -> jax.Array:
    """The upper `16 + count` bits of `x`, rounded."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    if count == 16:
        return bits
    return (bits + np.uint32(1 << (15 - count))) >> np.uint32(16 - count)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _upper(x: jax.Array, count: int) -> jax.Array:
    upper = (_kept(x, count) + np.uint32(1 << (count - 1))) >> np.uint32(count)
    rounded = lax.bitcast_convert_type(upper << np.uint32(16), jnp.float32)
    # The carry would turn some NaNs into zero.
    return jnp.where(jnp.isnan(x), x, rounded)


@_upper.defjvp
def _upper_jvp(count: int, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return _upper(primals[0], count), tangents[0]


@jax.custom_jvp
def join_bits(p: jax.Array, rest: jax.Array) -> jax.Array:
    """The inverse of `split_bits`; `p` may be bfloat16."""
    count = 8 * rest.dtype.itemsize
    upper = lax.bitcast_convert_type(p.astype(jnp.float32), jnp.uint32) >> np.uint32(16)
    low = rest.astype(jnp.uint32)
    carried = jnp.where(low >> np.uint32(count - 1) > 0, np.uint32(1), np.uint32(0))
    kept = ((upper - carried) << np.uint32(count)) | low
    joined = lax.bitcast_convert_type(kept << np.uint32(16 - count), jnp.float32)
    return jnp.where(jnp.isnan(p), p.astype(jnp.float32), joined)


@join_bits.defjvp
def _join_bits_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return join_bits(*primals), tangents[0].astype(jnp.float32)
