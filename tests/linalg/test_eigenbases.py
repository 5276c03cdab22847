"""Bases of eigenvectors, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from optcore.linalg import eigenbasis, refresh_eigenbasis
from tests import oracles


def symmetric(n, seed=0, batch=()):
    x = np.random.default_rng(seed).normal(size=(*batch, n, 2 * n))
    return x @ np.swapaxes(x, -1, -2)


def test_it_is_a_basis_of_eigenvectors():
    a = symmetric(5, batch=(3,))
    with oracles.double_precision():
        values, vectors = map(np.asarray, eigenbasis(jnp.asarray(a)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[..., ::-1], rtol=1e-10)
    np.testing.assert_allclose(a @ vectors, vectors * values[..., None, :], atol=1e-9)


def test_steps_lead_to_it():
    a = symmetric(4)
    with oracles.double_precision():
        basis = jnp.eye(4)
        for _ in range(200):
            basis, order = refresh_eigenbasis(jnp.asarray(a), basis)
        _, vectors = eigenbasis(jnp.asarray(a))
        basis, vectors = np.asarray(basis), np.asarray(vectors)
    np.testing.assert_allclose(np.abs(basis.T @ vectors), np.eye(4), atol=1e-8)
    assert order.tolist() == [0, 1, 2, 3]
    assert order.dtype == jnp.int32


def test_a_step_is_that_of_soap():
    """Sort by the quotients, multiply, QR, in NumPy."""
    a, q = symmetric(4, 1), np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    order = np.argsort(-np.diag(q.T @ a @ q))
    expected = np.linalg.qr(a @ q[:, order])[0]
    with oracles.double_precision():
        basis, got = map(np.asarray, refresh_eigenbasis(jnp.asarray(a), jnp.asarray(q)))
    np.testing.assert_array_equal(got, order)
    np.testing.assert_allclose(np.abs(basis.T @ expected), np.eye(4), atol=1e-12)


def test_derivatives_are_those_with_the_basis_held():
    """JAX's derivative of eigenvectors is NaN at the identity."""

    def rotated(a):
        _, q = eigenbasis(a)
        return jnp.sum(q.T @ a @ q)

    grad = jax.grad(rotated)(jnp.eye(3))
    assert jnp.all(jnp.isfinite(grad))
    assert jnp.any(grad)
    held = jax.grad(lambda a: jnp.sum(refresh_eigenbasis(a, jnp.eye(3))[0]))(jnp.eye(3))
    assert not jnp.any(held)


def test_zeros_and_narrow_types():
    values, vectors = eigenbasis(jnp.zeros((3, 3), jnp.bfloat16))
    assert values.dtype == vectors.dtype == jnp.float32
    basis, _ = refresh_eigenbasis(jnp.zeros((3, 3)), jnp.eye(3))
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-6)
