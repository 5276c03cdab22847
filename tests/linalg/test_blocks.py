"""Merging short axes and cutting long ones."""

import jax.numpy as jnp
import numpy as np
import pytest

from optcore.linalg import from_blocks, merge_axes, to_blocks


@pytest.mark.parametrize(
    ("shape", "limit", "expected"),
    [
        ((3, 3, 16, 64), 128, (9, 16, 64)),
        ((3, 3, 16, 64), 1024, (144, 64)),
        ((2, 3, 4), 24, (24,)),
        ((1, 1), 8, ()),
        ((), 8, ()),
        ((500, 2), 8, (500, 2)),
        ((0, 4), 8, (0,)),
    ],
)
def test_merged_shapes(shape, limit, expected):
    assert merge_axes(shape, limit) == expected
    assert np.prod(expected, dtype=int) == np.prod(shape, dtype=int)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (2, 3, 5), (1, 9), (3, 0)])
@pytest.mark.parametrize("block", [1, 2, 4, 100])
def test_blocks_are_slices_and_come_back(shape, block):
    x = jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape) + 1
    blocks = to_blocks(x, block)
    np.testing.assert_array_equal(from_blocks(blocks, shape), x)
    *_, rows, columns, a, b = blocks.shape
    assert max(a, b) <= block
    for i in range(rows):
        for j in range(columns):
            piece = np.zeros((*blocks.shape[:-4], a, b))
            part = x[..., i * a : (i + 1) * a, j * b : (j + 1) * b]
            piece[..., : part.shape[-2], : part.shape[-1]] = part
            np.testing.assert_array_equal(blocks[..., i, j, :, :], piece)


def test_refuses():
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        merge_axes((2, 3), 0)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        to_blocks(jnp.ones((2, 2)), 0)
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(3,\)"):
        to_blocks(jnp.ones(3), 2)
