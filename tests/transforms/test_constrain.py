"""Projections: non-negative parameters, and updates without NaN."""

import chex
import hypothesis.extra.numpy as hnp
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optcore
from tests import oracles

inf, nan = float("inf"), float("nan")


def test_parameters_stay_nonnegative_and_legal_updates_pass():
    tx = optcore.keep_params_nonnegative()
    p = {"w": jnp.array([1.0, 1.0, 0.0, 0.0, 2.0]), "n": jnp.int32(1)}
    u = {"w": jnp.array([-3.0, -0.25, -1.0, 0.5, -2.0]), "n": None}
    new, _ = tx.update(u, tx.init(p), p)
    np.testing.assert_array_equal(new["w"], [-1.0, -0.25, 0.0, 0.5, -2.0])
    assert new["n"] is None


numbers = st.floats(0, 1e6, width=32)


@oracles.quick
@given(
    hnp.arrays(np.float32, (4, 3), elements=numbers),
    hnp.arrays(np.float32, (4, 3), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_it_is_the_projection_on_the_orthant(p, u):
    tx = optcore.keep_params_nonnegative()
    new, _ = tx.update(u, tx.init(p), p)
    chex.assert_trees_all_equal_shapes_and_dtypes(new, u)
    np.testing.assert_array_equal(p + new, np.maximum(p + np.maximum(u, -p), 0))
    again, _ = tx.update(new, tx.init(p), p)
    np.testing.assert_array_equal(again, new)


def test_keep_params_nonnegative_needs_the_parameters():
    tx = optcore.keep_params_nonnegative()
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_zero_nans():
    tx = optcore.zero_nans()
    params = {
        "w": jnp.zeros(3),
        "clean": jnp.zeros(2),
        "z": jnp.zeros(2, jnp.complex64),
        "n": jnp.int32(1),
    }
    state = tx.init(params)
    expected = {"w": False, "clean": False, "z": False, "n": None}
    chex.assert_trees_all_equal(state.found_nan, expected)
    assert state.found_nan["w"].dtype == jnp.bool_
    grads = {
        "w": jnp.array([nan, -inf, 2.0]),
        "clean": jnp.array([1.0, inf]),
        "z": jnp.array([1 + 1j * nan, 2 - 3j]),
        "n": None,
    }
    u, state = tx.update(grads, state)
    np.testing.assert_array_equal(u["w"], [0.0, -inf, 2.0])
    np.testing.assert_array_equal(u["clean"], [1.0, inf])
    np.testing.assert_array_equal(u["z"], [0, 2 - 3j])
    assert u["n"] is None
    chex.assert_trees_all_equal(state.found_nan, {**expected, "w": True, "z": True})
    _, state = tx.update({**grads, "w": jnp.ones(3)}, state)
    chex.assert_trees_all_equal(state.found_nan, {**expected, "z": True})
