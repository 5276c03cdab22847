"""Arrays as matrices of a limited size: small axes merged, long ones cut into blocks."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp


def merge_axes(shape: Sequence[int], limit: int) -> tuple[int, ...]:
    """The shape with neighbouring axes merged as long as their product is at most a limit.

    Axes of length 1 disappear (Gupta et al., arXiv 1802.09568; Anil et al., arXiv 2002.09018).

    Args:
      shape: of an array.
      limit: of a merged axis, at least 1; an axis that is longer stays alone.

    Raises:
      ValueError: `limit` is less than 1.

    >>> merge_axes((3, 3, 16, 64), 128), merge_axes((1, 5, 1), 128)
    ((9, 16, 64), (5,))
    """
    if limit < 1:
        raise ValueError(f"merge_axes: limit must be at least 1, got {limit}")
    merged: list[int] = []
    for length in (n for n in shape if n != 1):
        if merged and merged[-1] * length <= limit:
            merged[-1] *= length
        else:
            merged.append(length)
    return tuple(merged)


def to_blocks(x: jax.Array, block: int) -> jax.Array:
    """A matrix cut into square blocks, which are filled up with zeros at the ends.

    Args:
      x: of shape `(..., m, n)`.
      block: the longest side of a block, at least 1; a shorter axis is one block of its length.

    Returns:
      An array of shape `(..., rows, columns, block_m, block_n)`.

    Raises:
      ValueError: `x` has fewer than two axes, or `block` is less than 1.

    >>> import jax.numpy as jnp
    >>> to_blocks(jnp.ones((3, 4)), 2).shape
    (2, 2, 2, 2)
    """
    x = jnp.asarray(x)
    if x.ndim < 2:
        raise ValueError(f"to_blocks: x must have at least two axes, got shape {x.shape}")
    if block < 1:
        raise ValueError(f"to_blocks: block must be at least 1, got {block}")
    *batch, m, n = x.shape
    a, b = max(min(block, m), 1), max(min(block, n), 1)
    rows, columns = math.ceil(m / a), math.ceil(n / b)
    ends = [(0, 0)] * len(batch) + [(0, rows * a - m), (0, columns * b - n)]
    cut = jnp.pad(x, ends).reshape(*batch, rows, a, columns, b)
    return jnp.swapaxes(cut, -2, -3)


def from_blocks(blocks: jax.Array, shape: Sequence[int]) -> jax.Array:
    """The matrices that `to_blocks` cut, of shape `(..., m, n)`.

    >>> import jax.numpy as jnp
    >>> x = jnp.arange(12.0).reshape(3, 4)
    >>> bool(jnp.all(from_blocks(to_blocks(x, 2), x.shape) == x))
    True
    """
    *batch, m, n = shape
    rows, columns, a, b = blocks.shape[-4:]
    whole = jnp.swapaxes(blocks, -2, -3).reshape(*batch, rows * a, columns * b)
    return whole[..., :m, :n]
