"""Kahan: against the paper's loop in NumPy, and what a stale compensation does."""

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.storage.narrow import DTYPES, walk


def kahan_2010_06192(w, steps, dtype):
    """Algorithm 1's loop, with its sign of the compensation; sums are exact."""
    to_dtype, to_bfloat16 = np.dtype(dtype).type, np.dtype(jnp.bfloat16).type
    w, c = w.astype(np.float64), np.zeros_like(w, np.float64)
    for u in steps.astype(np.float64):
        y = u - c
        s = (w + y).astype(to_dtype).astype(np.float64)
        c = ((s - w) - y).astype(to_bfloat16).astype(np.float64)
        w = s
    return w, c


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_it_is_the_paper(dtype):
    rng = np.random.default_rng(3)
    # Multiples of 2⁻¹⁴, of which float32 makes exact sums.
    steps = np.round(rng.standard_normal((40, 50)) * 2**4) / 2**14
    w = np.asarray(jnp.asarray(rng.uniform(0.5, 2, 50), dtype), np.float64)
    got, state = walk(
        optcore.kahan(optcore.scale(1.0)), jnp.asarray(w, dtype), jnp.asarray(steps, jnp.float32)
    )
    expected, c = kahan_2010_06192(w, steps, dtype)
    np.testing.assert_array_equal(np.asarray(got, np.float64), expected)
    np.testing.assert_array_equal(np.asarray(state.residual, np.float64), -c)
    assert state.residual.dtype == jnp.bfloat16


def test_what_is_left_of_another_parameter_is_dropped():
    tx = optcore.kahan(optcore.sgd(1.0))
    w = jnp.full(2, 256.0, jnp.bfloat16)
    updates, state = tx.update(jnp.full(2, -0.5), tx.init(w), w)
    assert state.residual.tolist() == [0.5, 0.5]
    w = jnp.asarray([256.0, 1.0], jnp.bfloat16)
    updates, state = tx.update(jnp.zeros(2), state, w)
    assert optcore.apply_updates(w, updates).tolist() == [256.0, 1.0]
    assert state.residual.tolist() == [0.5, 0.0]
