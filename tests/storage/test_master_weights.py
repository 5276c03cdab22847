"""Master weights: the parameter is the rounded copy, also after someone else has set it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.storage.narrow import DTYPES, bits, pairs, walk


def optax_apply(params, updates):
    optax = pytest.importorskip("optax", reason="optax's apply_updates is what Flax calls")
    with jax.numpy_dtype_promotion("standard"):
        return optax.apply_updates(params, updates)


@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("apply", [optcore.apply_updates, optax_apply], ids=["ours", "optax"])
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_parameter_is_the_rounded_master(dtype, apply, compiled):
    p, target = pairs(dtype)
    tx = optcore.master_weights(optcore.scale(1.0))

    def step(p):
        state = tx.init(p)
        updates, state = tx.update(target - p.astype(jnp.float32), state, p)
        return apply(p, updates), state.master

    moved, master = (jax.jit(step) if compiled else step)(p)
    assert moved.dtype == dtype
    assert np.isfinite(np.asarray(moved, np.float32)).all()
    np.testing.assert_array_equal(bits(moved), bits(master.astype(dtype)))


def test_it_is_the_run_of_float32():
    """Of gradients that do not depend on the parameters, rounded at the end."""
    rng = np.random.default_rng(1)
    grads = jnp.asarray(rng.standard_normal((50, 64)), jnp.float32)
    w = jnp.asarray(rng.standard_normal(64), jnp.bfloat16)
    adam = optcore.adamw(1e-3, weight_decay=0.1)
    got, state = walk(optcore.master_weights(adam), w, grads)
    expected, _ = walk(adam, w.astype(jnp.float32), grads)
    np.testing.assert_allclose(state.master, expected, rtol=1e-6)
    np.testing.assert_array_equal(got, state.master.astype(jnp.bfloat16))


def test_a_parameter_that_was_set_starts_anew():
    tx = optcore.master_weights(optcore.sgd(1.0))
    w = jnp.ones(3, jnp.bfloat16)
    updates, state = tx.update(jnp.full(3, 1e-3), tx.init(w), w)
    w = optcore.apply_updates(w, updates).at[1].set(5.0)
    updates, state = tx.update(jnp.zeros(3), state, w)
    np.testing.assert_array_equal(optcore.apply_updates(w, updates), w)
    np.testing.assert_allclose(state.master, [0.999, 5.0, 0.999], rtol=1e-6)


def test_state_of_narrow_and_wide_parameters():
    params = {"bf16": jnp.ones(2, jnp.bfloat16), "f32": jnp.ones(2), "n": jnp.arange(2)}
    state = optcore.master_weights(optcore.adam(1e-3)).init(params)
    assert state.master["bf16"].dtype == jnp.float32
    assert (state.master["f32"], state.master["n"]) == (None, None)
    assert state.inner[0].mu["n"] is None
