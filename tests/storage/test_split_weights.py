"""Split weights: parameter and bits are the float32 number, and it walks as master weights do."""

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.storage._rounding import join_bits, split_bits
from tests.storage.narrow import bits, pairs, walk


@pytest.mark.parametrize("count", [8, 16])
def test_parameter_and_bits_are_the_master(count):
    p, target = pairs(jnp.bfloat16)
    tx = optcore.split_weights(optcore.scale(1.0), count)
    wide = p.astype(jnp.float32)
    updates, state = tx.update(target - wide, tx.init(p), p)
    moved = optcore.apply_updates(p, updates)
    expected, rest = split_bits(wide + (target - wide), count)
    np.testing.assert_array_equal(bits(moved), bits(expected.astype(jnp.bfloat16)))
    np.testing.assert_array_equal(state.residual, rest)
    if count == 16:
        np.testing.assert_array_equal(join_bits(moved, state.residual), wide + (target - wide))


def test_split_walks_like_master():
    """Two forms of the same float32 number."""
    rng = np.random.default_rng(0)
    grads = jnp.asarray(rng.standard_normal((50, 64)), jnp.float32)
    w = jnp.asarray(rng.standard_normal(64), jnp.bfloat16)
    adam = optcore.adamw(1e-3, weight_decay=0.1)
    ours, state = walk(optcore.split_weights(adam), w, grads)
    theirs, expected = walk(optcore.master_weights(adam), w, grads)
    # XLA may round a product and a sum together in one of the two programs and not in the other.
    np.testing.assert_allclose(join_bits(ours, state.residual), expected.master, rtol=1e-6)
    np.testing.assert_allclose(*(x.astype(jnp.float32) for x in (ours, theirs)), rtol=2**-7)


def test_float16_keeps_the_difference():
    """Its bits are not part of those of float32."""
    w = jnp.ones(2, jnp.float16)
    got, state = walk(optcore.split_weights(optcore.sgd(1.0)), w, jnp.full((100, 2), 1e-5))
    assert state.residual.dtype == jnp.float32
    expected, _ = walk(optcore.sgd(1.0), w.astype(jnp.float32), jnp.full((100, 2), 1e-5))
    np.testing.assert_array_equal(got.astype(jnp.float32) + state.residual, expected)
    assert walk(optcore.sgd(1.0), w, jnp.full((100, 2), 1e-5))[0].tolist() == [1, 1]


def test_other_numbers_of_bits_are_refused():
    with pytest.raises(ValueError, match="bits must be one of 8, 16, got 12"):
        optcore.split_weights(optcore.sgd(0.1), 12)
