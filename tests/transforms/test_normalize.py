"""Normalisation by a mean, by the norm of the updates, and by the size of the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def once(tx, g, params=None):
    """One update of `g`."""
    return tx.update(g, tx.init(g if params is None else params), params)[0]


def theirs(tx, g, params=None):
    """The same from optax."""
    with jax.numpy_dtype_promotion("standard"):
        return once(tx, g, params)


def sample(shape, seed=0, kind=np.float32):
    real, imag = np.random.default_rng(seed).normal(size=(2, *shape))
    return (real + 1j * imag if kind is np.complex64 else real).astype(kind)


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (2, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("kind", [np.float32, np.complex64])
def test_centralize_leaves_no_mean_over_the_inputs_of_an_output(shape, kind):
    g = sample(shape, kind=kind)
    wide = oracles.double(g)
    for axis in (-1, 0, 1):
        inputs = tuple(i for i in range(g.ndim) if i != axis % g.ndim)
        expected = wide - wide.mean(inputs, keepdims=True)
        u = once(optcore.centralize(output_axis=axis), g)
        np.testing.assert_allclose(u, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        once(optcore.centralize(), g), once(optcore.centralize(output_axis=-1), g)
    )


def test_centralize_projects():
    """Centred gradients do not change: projection on the gradients of sum zero (theorem 4.1)."""
    u = once(optcore.centralize(), sample((4, 3)))
    np.testing.assert_allclose(once(optcore.centralize(), u), u, atol=1e-6)


def test_centralize_leaves_vectors_alone():
    g = {"b": sample((3,)), "s": sample(()), "empty": sample((0, 3)), "none": sample((3, 0))}
    u = once(optcore.centralize(), g)
    for name in g:
        np.testing.assert_array_equal(u[name], g[name])


def test_centralize_over_the_first_axis_is_optax():
    g = {"w": sample((4, 3)), "k": sample((2, 3, 4)), "b": sample((3,))}
    got, expected = once(optcore.centralize(output_axis=0), g), theirs(optax.centralize(), g)
    for name in g:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6)


def test_normalize_by_update_norm():
    g = oracles.start()
    norm = np.sqrt(sum((np.abs(x) ** 2).sum() for x in oracles.double(g).values()))
    u = once(optcore.normalize_by_update_norm(-3.0, 2.0), g)
    for name in g:
        np.testing.assert_allclose(u[name], g[name] * (-3 / (norm + 2)), rtol=1e-6)
    expected = theirs(optax.normalize_by_update_norm(-3.0, 2.0), {"w": g["w"]})
    got = once(optcore.normalize_by_update_norm(-3.0, 2.0), {"w": g["w"]})
    np.testing.assert_allclose(got["w"], expected["w"], rtol=1e-6)


@pytest.mark.parametrize("magnitude", [3e37, 1e30, 1e-30])
def test_the_norm_neither_overflows_nor_vanishes(magnitude):
    g = np.float32([3 * magnitude, 4 * magnitude])
    u = once(optcore.normalize_by_update_norm(eps=0.0), g)
    np.testing.assert_allclose(u, [0.6, 0.8], rtol=1e-6)


def test_zero_updates_stay_zero():
    for eps in (0.0, 1e-6):
        u = once(optcore.normalize_by_update_norm(eps=eps), jnp.zeros(3))
        np.testing.assert_array_equal(u, 0)


BLOCKS = {
    "norm": (optcore.transforms.scale_by_param_block_norm, optax.scale_by_param_block_norm),
    "rms": (optcore.transforms.scale_by_param_block_rms, optax.scale_by_param_block_rms),
}
blocks = pytest.mark.parametrize("which", BLOCKS)


@blocks
def test_scale_by_param_block(which):
    u, p = oracles.start(1), {**oracles.start(2), "small": np.float32([0.3, -0.4])}
    u["small"] = np.float32([1.0, 2.0])
    got = once(BLOCKS[which][0](0.55), u, p)
    for name in u:
        size = np.linalg.norm(oracles.double(p[name]))
        if which == "rms":
            size /= np.sqrt(p[name].size)
        assert (size < 0.55) == (name == "small")
        np.testing.assert_allclose(got[name], u[name] * max(size, 0.55), rtol=1e-6)
    real = {name: u[name] for name in ("w", "small")}
    expected = theirs(BLOCKS[which][1](0.55), real, {name: p[name] for name in real})
    for name in real:
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-6)


@blocks
def test_a_parameter_at_zero_can_move(which):
    u = once(BLOCKS[which][0](), jnp.ones(2), jnp.zeros(2))
    np.testing.assert_allclose(u, 1e-3, rtol=1e-6)


def test_scale_to_param_norm():
    u, p = oracles.start(1), oracles.start(2)
    got = once(optcore.transforms.scale_to_param_norm(), u, p)
    for name in u:
        size = np.linalg.norm(oracles.double(p[name])) / np.linalg.norm(oracles.double(u[name]))
        np.testing.assert_allclose(got[name], u[name] * size, rtol=1e-6)
    masked = once(optcore.transforms.scale_to_param_norm({"w": True, "z": False}), u, p)
    np.testing.assert_array_equal(masked["w"], got["w"])
    np.testing.assert_array_equal(masked["z"], u["z"])


def test_scale_to_param_norm_of_each_slice():
    u, p = sample((3, 4, 2), 1), sample((3, 4, 2), 2)
    u[1] = 0
    got = once(optcore.transforms.scale_to_param_norm(axes=(-2, -1)), u, p)
    for i in (0, 2):
        alone = once(optcore.transforms.scale_to_param_norm(), u[i], p[i])
        np.testing.assert_allclose(got[i], alone, rtol=1e-6)
    np.testing.assert_array_equal(got[1], 0)


@pytest.mark.parametrize(
    "name", ["normalize_by_update_norm", "scale_by_param_block_norm", "scale_by_param_block_rms"]
)
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


def test_one_number_is_its_own_root_mean_square():
    u, p = np.float32([2.0]), np.float32([-3.0])
    np.testing.assert_allclose(
        once(optcore.transforms.scale_by_param_block_rms(), u, p), [6.0], rtol=1e-6
    )


def test_takes_row_sparse_updates():
    oracles.takes_rows(optcore.normalize_by_update_norm())
