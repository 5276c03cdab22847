"""The values of the codes of a low-bit format."""

import functools
from typing import Any

import numpy as np


@functools.lru_cache(maxsize=8)
def dynamic_map(*, signed: bool, bits: int = 8) -> np.ndarray[Any, Any]:
    """The dynamic quantisation map (Dettmers, arXiv 1511.04561; 2110.02861, section 2.1).

    Each of the `bits - 1` decades below 1 is divided evenly, twice as finely as the decade below
    it; 0 and 1 are also values. Every operation is rounded as in the published maps.

    Args:
      signed: whether the map is symmetric (except for the 1); otherwise it has no negative values
        and twice as many positive ones.
      bits: the bits of a code, from 2 to 8.

    Returns:
      float32, sorted, read-only, of shape `(2**bits,)`.

    Raises:
      ValueError: `bits` is out of range.

    The smallest positive value, and the distance between the two largest:

    >>> values = dynamic_map(signed=True)
    >>> values[values > 0][0].item(), (values[-2] - values[-3]).round(4).item()
    (5.499999815583578e-07, 0.014100000262260437)
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"dynamic_map: bits must lie in [2, 8], got {bits}")
    f32 = np.float32
    values = [0.0, 1.0]
    for decade in range(bits - 1):
        edges = _edges(2 ** (decade + (not signed)))
        means = f32(10.0 ** (decade - bits + 2)) * ((edges[:-1] + edges[1:]) / f32(2))
        values += means.tolist()
        if signed:
            values += (-means).tolist()
    return _read_only(np.sort(np.asarray(values, f32)))


def linear_map(size: int) -> np.ndarray[Any, Any]:
    """`1/size, …, 1`: evenly spaced, and without 0."""
    return _read_only(np.arange(1, size + 1, dtype=np.float32) / np.float32(size))


def _edges(size: int) -> np.ndarray[Any, Any]:
    """The ends of `size` equal parts of [0.1, 1], counted from the nearer end, rounded once."""
    low, high = np.float32(0.1), np.float32(1)
    step = np.float64((high - low) / np.float32(size))
    i = np.arange(size + 1)
    upward, downward = np.float64(low) + step * i, np.float64(high) - step * (size - i)
    return np.where(i < (size + 1) // 2, upward, downward).astype(np.float32)


def _read_only(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values.flags.writeable = False
    return values
