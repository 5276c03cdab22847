"""The spectral norm, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from optcore.linalg import spectral_norm
from tests import oracles


def test_against_numpy():
    for shape in ((4, 4), (3, 8), (8, 3), (2, 5, 4)):
        x = np.random.default_rng(0).normal(size=shape)
        with oracles.double_precision():
            got = spectral_norm(jnp.asarray(x), steps=200)
        np.testing.assert_allclose(got, np.linalg.norm(x, 2, axis=(-2, -1)), rtol=1e-8)


def test_it_is_an_estimate_from_below():
    x = np.random.default_rng(1).normal(size=(30, 20))
    exact, previous = np.linalg.norm(x, 2), np.linalg.norm(x, axis=1).max()
    with oracles.double_precision():
        for steps in (1, 3, 9, 27):
            got = float(spectral_norm(jnp.asarray(x), steps))
            assert previous <= got <= exact * (1 + 1e-12)
            previous = got


def test_complex_zero_huge_and_empty():
    x = np.random.default_rng(2).normal(size=(3, 4, 2)) @ np.array([1, 1j])
    assert (
        spectral_norm(jnp.asarray(x, jnp.complex64), 0) >= np.linalg.norm(x, axis=1).max() * 0.999
    )
    got = spectral_norm(jnp.asarray(x, jnp.complex64), 100)
    np.testing.assert_allclose(got, np.linalg.norm(x, 2), rtol=1e-5)
    assert spectral_norm(jnp.zeros((3, 4))) == 0
    np.testing.assert_allclose(spectral_norm(1e30 * jnp.eye(3)), 1e30, rtol=1e-6)
    np.testing.assert_allclose(spectral_norm(1e-30 * jnp.eye(3)), 1e-30, rtol=1e-6)
    assert spectral_norm(jnp.ones((2, 0, 3))).tolist() == [0, 0]


def test_the_derivative_is_the_first_pair_of_vectors():
    x = np.random.default_rng(3).normal(size=(5, 4))
    u, _, v = np.linalg.svd(x)
    with oracles.double_precision():
        got = jax.grad(lambda x: spectral_norm(x, 300))(jnp.asarray(x))
    np.testing.assert_allclose(got, np.outer(u[:, 0], v[0]), atol=1e-7)
    assert jnp.all(jnp.isfinite(jax.grad(spectral_norm)(jnp.zeros((3, 3)))))
