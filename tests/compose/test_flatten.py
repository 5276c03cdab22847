"""All parameters as one vector."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore import flatten
from tests import oracles

PARAMS = {"w": jnp.arange(6.0).reshape(2, 3), "s": jnp.float32(4.0), "none": None, "b": jnp.ones(2)}
GRADS = jax.jit(lambda params: jax.tree.map(lambda p: 0.5 * p - 1, params))(PARAMS)


@pytest.mark.parametrize("inner", [optcore.adam(0.1), optcore.sgd(0.1, 0.9), optcore.lion(0.1)])
def test_what_is_done_to_each_coordinate_is_the_same(inner):
    tx = flatten(inner)
    state, expected_state = tx.init(PARAMS), inner.init(PARAMS)
    for _ in range(3):
        updates, state = tx.update(GRADS, state, PARAMS)
        expected, expected_state = inner.update(GRADS, expected_state, PARAMS)
        jax.tree.map(np.testing.assert_array_equal, updates, expected)


def test_like_optax():
    params = jax.tree.map(np.asarray, {k: v for k, v in PARAMS.items() if v is not None})
    grads = [oracles.single({k: GRADS[k] for k in params})] * 3
    (*_, ours), (*_, theirs) = (
        oracles.run(
            lib.flatten(lib.chain(lib.clip_by_block_rms(0.1), lib.trace(0.9))), params, grads
        )
        for lib in (optcore, optax)
    )
    oracles.close(ours, theirs, params)


def test_the_order_is_that_of_the_leaves():
    """Sorted names: b, s, w."""
    state = flatten(optcore.trace(0.0)).init(PARAMS)
    _, state = flatten(optcore.trace(0.0)).update(GRADS, state)
    rows = [np.ravel(GRADS[name]) for name in ("b", "s", "w")]
    np.testing.assert_array_equal(state.trace, np.concatenate(rows))


def test_dtypes():
    """The vector is wide; updates come back in the width of their parameter."""
    params = {
        "bf16": jnp.ones(2, jnp.bfloat16),
        "f32": jnp.ones(3),
        "c64": jnp.ones(2, jnp.complex64),
        "int": jnp.arange(4),
        "empty": jnp.zeros((0, 3)),
    }
    tx = flatten(optcore.adam(0.1))
    state = tx.init(params)
    assert (state[0].mu.shape, state[0].mu.dtype) == ((7,), jnp.complex64)
    grads = {**params, "int": None, "c64": jnp.array([3 + 4j, 1], jnp.complex64)}
    updates, after = jax.jit(tx.update)(grads, state, params)
    dtypes = [updates[n].dtype for n in ("bf16", "f32", "c64", "empty")]
    assert dtypes == [jnp.float32, jnp.float32, jnp.complex64, jnp.float32]
    assert updates["int"] is None
    np.testing.assert_allclose(updates["f32"], -0.1 * np.ones(3), rtol=1e-5)
    np.testing.assert_allclose(updates["c64"], [-0.06 - 0.08j, -0.1], rtol=1e-5)
    del params["c64"]
    assert flatten(optcore.trace(0.5)).init(params).trace.dtype == jnp.float32
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_double_precision():
    with oracles.double_precision():
        params = {"a": jnp.ones(2, jnp.float64), "b": jnp.ones(1, jnp.float32)}
        tx = flatten(optcore.scale(1.0))
        updates, _ = tx.update(params, tx.init(params), params)
        assert [u.dtype for u in updates.values()] == [jnp.float64, jnp.float32]


def test_none_counts_as_zero_in_the_state():
    tx = flatten(optcore.trace(0.5))
    _, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    updates, after = tx.update({**GRADS, "w": None}, state, PARAMS)
    assert updates["w"] is None
    np.testing.assert_array_equal(after.trace[3:], 0.5 * state.trace[3:])
    np.testing.assert_array_equal(updates["b"], 1.5 * GRADS["b"])
    with pytest.raises(ValueError, match="the state was made for other parameters"):
        tx.update({**GRADS, "w": None}, state)


def test_a_tree_without_leaves():
    tx = flatten(optcore.adam(0.1))
    updates, _ = tx.update({"a": None}, tx.init({"a": None}), {"a": None})
    assert updates == {"a": None}
