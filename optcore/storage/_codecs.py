"""Codecs: an array as codes of few bits and one scale per block of its last axis."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core import explicit_sharding, safe_sqrt, split_last
from ._maps import dynamic_map, linear_map
from ._rounding import on_grid, stochastic


class Encoded(NamedTuple):
    """An encoded float32 array.

    Attributes:
      codes: with the array's shape; if the last axis is even, two 4-bit codes share a byte.
      scales: with the array's shape, where the last axis is divided by the block and rounded up;
        `None` for bfloat16, which needs no scales.
    """

    codes: jax.Array
    scales: jax.Array | None


@dataclasses.dataclass(frozen=True)
class Codec:
    """A mapping of numbers in [-1, 1], or in [0, 1] if none is negative, to codes.

    Attributes:
      block: how many elements share a scale, by default.
      encode: takes the numbers and whether they are signed; returns codes.
      decode: the reverse.
      root: whether non-negative numbers are encoded by their root.
      narrow_scale: whether scales are bfloat16, rounded up, rather than float32.
    """

    block: int
    encode: Callable[[jax.Array, bool], jax.Array]
    decode: Callable[[jax.Array, bool], jax.Array]
    root: bool = False
    narrow_scale: bool = False


def _encode_dynamic(x: jax.Array, signed: bool) -> jax.Array:
    """The nearest value of the 8-bit dynamic map, ties upward."""
    values = dynamic_map(signed=signed)
    # A formula gives the index up to rounding, which is then corrected.
    a = jnp.abs(x)
    power, size = jnp.full_like(x, 1e6), jnp.full_like(x, 1 if signed else 2)
    for decade in range(1, 7):
        above = a >= 10.0 ** (decade - 7) * (1 + 0.9 / 2 ** (decade - signed))
        power = jnp.where(above, 10.0 ** (6 - decade), power)
        size = jnp.where(above, 2.0 ** (decade + (not signed)), size)
    place = jnp.clip(jnp.floor((a * power - 0.1) * (size / 0.9)), 0, size - 1)
    rank = (place + size if signed else place + size - 1).astype(jnp.int32)
    guess = jnp.clip(jnp.where(x < 0, 127 - rank, 127 + rank) if signed else rank, 0, 255)
    edges = (values[1:] + values[:-1]) / np.float32(2)
    upper = jnp.asarray(np.append(edges, np.inf).astype(np.float32))
    lower = jnp.asarray(np.append(-np.inf, edges).astype(np.float32))
    for _ in range(2):
        up, down = x >= _entries(upper, guess), x < _entries(lower, guess)
        guess = jnp.clip(guess + up.astype(jnp.int32) - down.astype(jnp.int32), 0, 255)
    return guess.astype(jnp.uint8) if signed else _positive(guess, x, 1).astype(jnp.uint8)


def _decode_dynamic(codes: jax.Array, signed: bool) -> jax.Array:
    return _entries(jnp.asarray(dynamic_map(signed=signed)), codes.astype(jnp.int32))


def _encode_softsign(x: jax.Array, signed: bool) -> jax.Array:
    if signed:
        return jnp.round(254 * x / (1 + jnp.abs(x))).astype(jnp.int8)
    return _positive(jnp.round(255 * x), x, 1).astype(jnp.uint8)


def _decode_softsign(codes: jax.Array, signed: bool) -> jax.Array:
    if signed:
        y = codes.astype(jnp.float32) / 127
        return y / (2 - jnp.abs(y))
    return codes.astype(jnp.float32) / 255


def _encode_linear(x: jax.Array, signed: bool) -> jax.Array:
    return jnp.round(127 * x).astype(jnp.int8)


def _decode_linear(codes: jax.Array, signed: bool) -> jax.Array:
    return codes.astype(jnp.float32) / 127


def _encode_fp8(x: jax.Array, signed: bool) -> jax.Array:
    # Rounded before the conversion, because XLA may drop a conversion there and back.
    rounded = on_grid(448 * x, 3, -6)
    rounded = rounded if signed else _positive(rounded, x, 2.0**-9)
    # As bits, because NumPy and libraries that write with it do not know the dtype.
    return lax.bitcast_convert_type(rounded.astype(jnp.float8_e4m3fn), jnp.uint8)


def _decode_fp8(codes: jax.Array, signed: bool) -> jax.Array:
    if codes.dtype == jnp.uint8:
        codes = lax.bitcast_convert_type(codes, jnp.float8_e4m3fn)
    return codes.astype(jnp.float32) / 448


def _map4(signed: bool) -> np.ndarray[Any, Any]:
    return dynamic_map(signed=True, bits=4) if signed else linear_map(16)


def _encode_int4(x: jax.Array, signed: bool) -> jax.Array:
    values = _map4(signed)
    codes = jnp.zeros(x.shape, jnp.uint8)
    for edge in (values[1:] + values[:-1]) / np.float32(2):
        codes += (x >= edge).astype(jnp.uint8)
    if x.shape[-1] % 2:
        # With two codes in a byte, the number of codes would be ambiguous; the dtype marks one per
        # byte.
        return codes.astype(jnp.int8)
    pairs = split_last(codes, x.shape[-1] // 2, 2)
    return pairs[..., 0] | (pairs[..., 1] << np.uint8(4))


def _decode_int4(codes: jax.Array, signed: bool) -> jax.Array:
    if codes.dtype == jnp.uint8:
        pairs = jnp.stack([codes & np.uint8(15), codes >> np.uint8(4)], axis=-1)
        codes = pairs.reshape(*codes.shape[:-1], 2 * codes.shape[-1])
    return _entries(jnp.asarray(_map4(signed)), codes.astype(jnp.int32))


def _entries(table: jax.Array, indices: jax.Array) -> jax.Array:
    """`table[indices]`, placed like the indices, also on a mesh of explicit axes."""
    sharding = explicit_sharding(indices)
    return table[indices] if sharding is None else table.at[indices].get(out_sharding=sharding)


def _positive(codes: jax.Array, x: jax.Array, least: float) -> jax.Array:
    """At least the smallest positive code where `x` is positive.

    If a second moment came back as 0, its first moment would be divided by epsilon.
    """
    return jnp.where(x > 0, jnp.maximum(codes, jnp.asarray(least, codes.dtype)), codes)


CODECS = {
    "int8": Codec(256, _encode_dynamic, _decode_dynamic),
    "int8_softsign": Codec(32, _encode_softsign, _decode_softsign, root=True, narrow_scale=True),
    "int8_linear": Codec(256, _encode_linear, _decode_linear),
    "fp8": Codec(256, _encode_fp8, _decode_fp8),
    "int4": Codec(128, _encode_int4, _decode_int4),
}


BF16 = "bf16"
"""bfloat16, stochastically rounded, which needs no scale."""


@functools.partial(jax.jit, static_argnames=("name", "signed", "block"))
def encode(
    x: jax.Array, key: jax.Array | None, name: str, signed: bool, block: int | None
) -> Encoded:
    """Encode an array of at least one axis as codes and scales; the key is for `BF16`."""
    x = x.astype(jnp.float32)
    if name == BF16:
        assert key is not None
        return Encoded(stochastic(x, jnp.bfloat16, key).astype(jnp.bfloat16), None)
    codec = CODECS[name]
    block = block or codec.block
    if codec.root and not signed:
        x = safe_sqrt(jnp.maximum(x, 0))
    scales = jnp.max(jnp.abs(_in_blocks(x, block)), axis=-1)
    if codec.narrow_scale:
        scales = _up_to_bfloat16(scales)
    # One reciprocal per block, without overflow or underflow; subnormal blocks count as 0.
    power = jnp.where(scales > 2.0**64, 2.0**-64, jnp.where(scales < 2.0**-64, 2.0**64, 1.0))
    vanishes = scales < jnp.finfo(jnp.float32).tiny
    inverse = jnp.where(vanishes, 0, 1 / jnp.where(vanishes, 1, power * scales))
    power, inverse = (_per_element(each, x.shape, block) for each in (power, inverse))
    codes = codec.encode(jnp.clip((x * power) * inverse, -1 if signed else 0, 1), signed)
    return Encoded(codes, scales.astype(jnp.bfloat16) if codec.narrow_scale else scales)


@functools.partial(jax.jit, static_argnames=("name", "signed", "block"))
def decode(encoded: Encoded, name: str, signed: bool, block: int | None) -> jax.Array:
    """The float32 array."""
    if name == BF16:
        return encoded.codes.astype(jnp.float32)
    codec = CODECS[name]
    assert encoded.scales is not None
    numbers = codec.decode(encoded.codes, signed)
    scales = encoded.scales.astype(jnp.float32)
    x = numbers * _per_element(scales, numbers.shape, block or codec.block)
    return x * x if codec.root and not signed else x


def _in_blocks(x: jax.Array, block: int) -> jax.Array:
    """Split the last axis into blocks and their elements; zeros fill the last block."""
    n = x.shape[-1]
    block = min(block, n)
    return split_last(x, -(-n // block), block)


def _per_element(scales: jax.Array, shape: tuple[int, ...], block: int) -> jax.Array:
    """Repeat each scale for every element of its block."""
    block, count = min(block, shape[-1]), scales.shape[-1]
    repeated = jnp.broadcast_to(scales[..., None], (*scales.shape, block))
    return repeated.reshape(*shape[:-1], count * block)[..., : shape[-1]]


def _up_to_bfloat16(x: jax.Array) -> jax.Array:
    """Non-negative numbers rounded up to bfloat16, so that no ratio to them exceeds 1."""
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    up = (bits + np.uint32(0xFFFF)) & np.uint32(0xFFFF0000)
    largest = np.uint32(0x7F7F0000)
    return jnp.where(
        jnp.isfinite(x), lax.bitcast_convert_type(jnp.minimum(up, largest), jnp.float32), x
    )
