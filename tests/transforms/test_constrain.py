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
    tx = optcore.transforms.keep_params_nonnegative()
    p = {"w": jnp.array([1.0, 1.0, 0.0, 0.0, 2.0]), "n": jnp.int32(1)}
    u = {"w": jnp.array([-3.0, -0.25, -1.0, 0.5, -2.0]), "n": None}
    new, _ = tx.update(u, tx.init(p), p)
    np.testing.assert_array_equal(new["w"], [-1.0, -0.25, 0.0, 0.5, -2.0])
    assert new["n"] is None


numbers = st.floats(0, 1e6, width=32, allow_subnormal=False)


@oracles.quick
@given(
    hnp.arrays(np.float32, (4, 3), elements=numbers),
    hnp.arrays(np.float32, (4, 3), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)),
)
def test_it_is_the_projection_on_the_orthant(p, u):
    tx = optcore.transforms.keep_params_nonnegative()
    new, _ = tx.update(u, tx.init(p), p)
    chex.assert_trees_all_equal_shapes_and_dtypes(new, u)
    np.testing.assert_array_equal(p + new, np.maximum(p + np.maximum(u, -p), 0))
    again, _ = tx.update(new, tx.init(p), p)
    np.testing.assert_array_equal(again, new)


def test_keep_params_nonnegative_needs_the_parameters():
    tx = optcore.transforms.keep_params_nonnegative()
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_zero_nans():
    tx = optcore.transforms.zero_nans()
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


def test_parameters_stay_in_the_box_and_legal_updates_pass():
    p = jnp.array([1.0, 1.0, 1.0, -2.0, 3.0])
    u = jnp.array([-9.0, 9.0, 0.25, 0.0, 0.0])
    both, low, high = (
        optcore.keep_params_in_box(*bounds).update(u, optcore.EmptyState(), p)[0]
        for bounds in ((-0.5, 2.0), (-0.5, None), (None, 2.0))
    )
    np.testing.assert_array_equal(both, [-1.5, 1.0, 0.25, 1.5, -1.0])
    np.testing.assert_array_equal(low, [-1.5, 9.0, 0.25, 1.5, 0.0])
    np.testing.assert_array_equal(high, [-9.0, 1.0, 0.25, 0.0, -1.0])


@oracles.quick
@given(hnp.arrays(np.float32, (2, 4), elements=st.floats(-1e3, 1e3, width=32)))
def test_the_box_is_a_projection(pair):
    p, u = pair
    tx = optcore.keep_params_in_box(-1.0, 3.0)
    new, _ = tx.update(u, tx.init(p), p)
    expected = np.clip(p.astype(np.float64) + u, -1, 3)
    np.testing.assert_allclose(p.astype(np.float64) + new, expected, atol=2e-4)


def test_an_empty_box_is_refused():
    with pytest.raises(ValueError, match="low must be at most high, got low=2"):
        optcore.keep_params_in_box(2.0, 1.0)
    assert optcore.keep_params_in_box(1.0, 1.0)


@pytest.mark.parametrize("axes", [None, 0, (0, 1)])
def test_parameters_stay_in_the_ball_and_legal_updates_pass(axes):
    p, u = oracles.start(1)["w"], oracles.start(2)["w"]
    tx = optcore.transforms.keep_params_in_ball(1.5, axes)
    new, _ = tx.update(u, tx.init(p), p)
    q = oracles.double(p) + oracles.double(u)
    size = np.sqrt((q**2).sum(axes, keepdims=True))
    np.testing.assert_allclose(p + new, q / np.maximum(1, size / 1.5), rtol=1e-5, atol=1e-6)
    inside = np.broadcast_to(size < 1.5, q.shape)
    assert inside.any() == (axes == 0)
    np.testing.assert_array_equal(np.asarray(new)[inside], u[inside])


def test_the_ball_of_complex_and_of_huge_parameters():
    p = {"z": np.complex64([3j, 4]), "h": np.float32([3e30, 4e30])}
    zero = {"z": np.zeros(2, np.complex64), "h": np.zeros(2, np.float32)}
    tx = optcore.transforms.keep_params_in_ball(2.5)
    new, _ = tx.update(zero, tx.init(p), p)
    np.testing.assert_allclose(p["z"] + new["z"], p["z"] / 2, rtol=1e-6)
    np.testing.assert_allclose(new["h"], -p["h"], rtol=1e-6)


@pytest.mark.parametrize("radius", [0.0, inf])
def test_the_ends_of_the_radius(radius):
    p, u = jnp.array([3.0, 4.0]), jnp.array([1.0, 0.0])
    tx = optcore.transforms.keep_params_in_ball(radius)
    new, _ = tx.update(u, tx.init(p), p)
    np.testing.assert_array_equal(new, u if radius else -p)
