"""Clipping: by value, by norms, by root mean square and by units."""

import chex
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optcore
from tests import oracles

inf = float("inf")


def once(tx, g, params=None):
    """One update of `g`."""
    return tx.update(g, tx.init(g if params is None else params), params)[0]


def norm(tree):
    """The global norm in float64."""
    return np.sqrt(sum((np.abs(oracles.double(x)) ** 2).sum() for x in jax.tree.leaves(tree)))


def test_clip_bounds_every_element_from_both_sides():
    g = {"w": jnp.array([-3.0, -0.5, 0.0, 0.5, inf]), "z": jnp.array([3 - 4j, 0.1 + 0.2j])}
    u = once(optcore.clip(0.75), g)
    np.testing.assert_array_equal(u["w"], [-0.75, -0.5, 0.0, 0.5, 0.75])
    np.testing.assert_array_equal(u["z"], np.complex64([0.75 - 0.75j, 0.1 + 0.2j]))


leaf = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    elements=st.floats(-1e8, 1e8, width=32),
)
trees = st.dictionaries(st.sampled_from("abc"), st.one_of(leaf, st.none()), max_size=3)


@oracles.quick
@given(trees, st.floats(0, 1e9, width=32))
def test_the_global_norm_is_at_most_the_limit_and_less_passes(g, limit):
    u = once(optcore.clip_by_global_norm(limit), g)
    chex.assert_trees_all_equal_shapes_and_dtypes(u, g)
    assert norm(u) <= limit * (1 + 1e-6)
    before = norm(g)
    if before <= limit * (1 - 1e-6):
        chex.assert_trees_all_equal(u, g)
    elif limit > 0:
        # A clipped update keeps its direction, and is not shortened more than necessary.
        assert norm(u) == pytest.approx(limit, rel=1e-5)
        chex.assert_trees_all_close(
            oracles.double(u), jax.tree.map(lambda x: x * (limit / before), oracles.double(g)),
            rtol=1e-5, atol=1e-30,
        )  # fmt: skip


def test_the_global_norm_is_that_of_all_leaves_together():
    g = oracles.start()
    u = once(optcore.clip_by_global_norm(0.3), g)
    for name in g:
        np.testing.assert_allclose(u[name], g[name] * np.float32(0.3 / norm(g)), rtol=1e-6)
    chex.assert_trees_all_equal(once(optcore.clip_by_global_norm(100.0), g), g)


@pytest.mark.parametrize("magnitude", [1e30, 1e-30])
def test_the_global_norm_neither_overflows_nor_vanishes(magnitude):
    g = np.float32([3 * magnitude, 4 * magnitude])
    u = once(optcore.clip_by_global_norm(0.5 * magnitude), g)
    np.testing.assert_allclose(u, g / 10, rtol=1e-6)


def test_clip_by_norm_is_leaf_by_leaf():
    g = {**oracles.start(), "small": np.float32([0.3, 0.4])}
    u = once(optcore.clip_by_norm(0.75), g)
    for name in ("w", "z"):
        assert norm(g[name]) > 1
        np.testing.assert_allclose(u[name], g[name] * np.float32(0.75 / norm(g[name])), rtol=1e-6)
    np.testing.assert_array_equal(u["small"], g["small"])


def test_clip_by_block_rms_is_leaf_by_leaf():
    g = {**oracles.start(), "small": np.full(5, 0.29, np.float32), "empty": np.zeros((0, 2), "f4")}
    g["one"] = np.float32([-2.0])
    u = once(optcore.clip_by_block_rms(0.3), g)
    for name in ("w", "z", "one"):
        rms = norm(g[name]) / np.sqrt(g[name].size)
        assert rms > 0.4
        np.testing.assert_allclose(u[name], g[name] * np.float32(0.3 / rms), rtol=1e-6)
    np.testing.assert_array_equal(u["small"], g["small"])
    assert u["empty"].shape == (0, 2)


def agc_2102_06171(g, p, clipping, eps, axes):
    """Equation 3, unit by unit."""
    keep = {"axis": axes, "keepdims": True}
    g_norm = np.sqrt((np.abs(g) ** 2).sum(**keep))
    p_norm = np.maximum(np.sqrt((np.abs(p) ** 2).sum(**keep)), eps)
    large = g_norm > clipping * p_norm
    return np.where(large, clipping * p_norm / np.where(large, g_norm, 1) * g, g)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), ()),
        ((5,), (0,)),
        ((1, 5), (0, 1)),
        ((5, 1), (0, 1)),
        ((4, 3), (0,)),
        ((4, 3, 2), (0,)),
        ((1, 3, 2), (0,)),
        ((2, 3, 4, 5), (0, 1, 2)),
        ((2, 2, 3, 4, 5), (0, 1, 2, 3)),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.complex64])
def test_adaptive_grad_clip(shape, axes, kind):
    rng = np.random.default_rng(0)
    real, imag = rng.normal(size=(2, 2, *shape))
    p, g = (real + 1j * imag if kind is np.complex64 else real).astype(kind)
    expected = agc_2102_06171(oracles.double(g), oracles.double(p), 0.9, 0.5, axes)
    u = once(optcore.adaptive_grad_clip(0.9, 0.5), g, p)
    assert u.dtype == kind
    np.testing.assert_allclose(u, expected, rtol=3e-6)


def test_adaptive_grad_clip_over_given_axes():
    rng = np.random.default_rng(0)
    p, g = rng.normal(size=(2, 4, 3, 2)).astype(np.float32)
    for axis in (1, (0, 2)):
        expected = agc_2102_06171(oracles.double(g), oracles.double(p), 0.4, 0.2, axis)
        assert not np.allclose(expected, g, rtol=0.1)
        u = once(optcore.adaptive_grad_clip(0.4, 0.2, axis), g, p)
        np.testing.assert_allclose(u, expected, rtol=3e-6)


def test_adaptive_grad_clip_bounds_small_weights_from_below():
    p, g = np.zeros(4, np.float32), np.float32([0, 3, 0, 4])
    np.testing.assert_allclose(once(optcore.adaptive_grad_clip(0.1, 0.5), g, p), g / 100, rtol=1e-6)


CLIPS = {
    "clip": optcore.clip,
    "global": optcore.clip_by_global_norm,
    "norm": optcore.clip_by_norm,
    "rms": optcore.clip_by_block_rms,
    "agc": optcore.adaptive_grad_clip,
}
clips = pytest.mark.parametrize("factory", CLIPS.values(), ids=CLIPS.keys())


@clips
def test_infinity_is_no_clipping_and_zero_is_zero(factory):
    g = oracles.start()
    chex.assert_trees_all_equal(once(factory(inf), g, g), g)
    zeros = jax.tree.map(np.zeros_like, g)
    chex.assert_trees_all_equal(once(factory(0.0), g, g), zeros)
    chex.assert_trees_all_equal(once(factory(0.5), zeros, g), zeros)


@clips
def test_derivatives_are_finite_also_at_zero(factory):
    def total(limit, g):
        return once(factory(limit), g, jnp.zeros(3)).sum()

    by_limit, by_gradient = jax.grad(total, argnums=(0, 1))(0.5, jnp.zeros(3))
    assert by_limit == 0
    np.testing.assert_array_equal(by_gradient, np.ones(3))
    by_limit, by_gradient = jax.grad(total, argnums=(0, 1))(0.5, jnp.array([0.0, 30.0, 40.0]))
    assert by_limit > 0
    assert np.isfinite(by_gradient).all()


@clips
def test_a_nan_does_not_pass_for_small(factory):
    u = once(factory(0.5), jnp.array([jnp.nan, 0.1]), jnp.ones(2))
    assert np.isnan(u[0])
    # The norm is not a number either, and neither is what it scales.
    assert u[1] == np.float32(0.1) if factory is optcore.clip else np.isnan(u[1])


def test_adaptive_grad_clip_needs_the_parameters():
    with pytest.raises(ValueError, match="adaptive_grad_clip needs the parameters"):
        once(optcore.adaptive_grad_clip(0.1), jnp.ones(2))


@clips
def test_a_negative_limit_is_refused(factory):
    with pytest.raises(ValueError, match="must lie in"):
        factory(-0.1)


def test_defaults():
    oracles.same_defaults(optcore.adaptive_grad_clip, optax.adaptive_grad_clip)
    assert oracles.defaults(optcore.adaptive_grad_clip)["axis"] is None


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (4, 3), (4, 3, 2), (2, 3, 4, 5), (0, 3)])
def test_unitwise_functions_are_those_of_optax(shape):
    g, limit = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    g, limit = jnp.asarray(g), jnp.abs(limit)
    norms = optcore.transforms.unitwise_norm(g)
    np.testing.assert_allclose(norms, optax.transforms.unitwise_norm(g), rtol=1e-6)
    got = optcore.transforms.unitwise_clip(norms, limit, g)
    expected = optax.transforms.unitwise_clip(norms, limit, g)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_unitwise_norm_over_given_axes():
    g = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    for axis in (1, (0, 2)):
        expected = np.sqrt((oracles.double(g) ** 2).sum(axis, keepdims=True))
        got = optcore.transforms.unitwise_norm(jnp.asarray(g), axis)
        np.testing.assert_allclose(got, np.broadcast_to(expected, g.shape), rtol=1e-6)


@pytest.mark.parametrize(
    "tx",
    [optcore.clip(1.0), optcore.clip_by_global_norm(1.0), optcore.clip_by_norm(1.0)],
    ids=lambda tx: tx.declaration.name,
)
def test_takes_row_sparse_updates(tx):
    oracles.takes_rows(tx)
