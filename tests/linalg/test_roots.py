"""Inverse p-th roots, against SciPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optcore.linalg import inverse_root
from tests import oracles

scipy_linalg = pytest.importorskip("scipy.linalg")


def hilbert(n):
    return scipy_linalg.hilbert(n)


@pytest.mark.parametrize("method", ["eigh", "newton"])
@pytest.mark.parametrize("p", [1, 2, 3, 4, 8])
def test_hilbert_matrices_against_scipy(method, p):
    """Of condition 1e6, with a ridge."""
    a = hilbert(6)
    ridged = a + 1e-6 * np.eye(6)
    expected = scipy_linalg.fractional_matrix_power(ridged, -1 / p)
    with oracles.double_precision():
        got = inverse_root(jnp.asarray(a), p, ridge=1e-6, relative=False, method=method, steps=60)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    power = np.linalg.matrix_power(np.asarray(got), p)
    np.testing.assert_allclose(power @ ridged, np.eye(6), atol=1e-4)


def test_roots_that_are_not_whole():
    a = hilbert(4) + 0.1 * np.eye(4)
    with oracles.double_precision():
        got = inverse_root(jnp.asarray(a), 2.5, ridge=0.0)
    np.testing.assert_allclose(got, scipy_linalg.fractional_matrix_power(a, -0.4), rtol=1e-10)


@pytest.mark.parametrize("method", ["eigh", "newton"])
def test_in_float32(method):
    a = hilbert(5) + 0.01 * np.eye(5)
    got = inverse_root(jnp.asarray(a, jnp.float32), 4, method=method, ridge=0.0)
    expected = scipy_linalg.fractional_matrix_power(a, -0.25)
    np.testing.assert_allclose(got, expected, atol=2e-5 * np.abs(expected).max())


def test_hermitian_matrices():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 8)) + 1j * rng.normal(size=(4, 8))
    a = x @ x.conj().T
    with oracles.double_precision():
        for method in ("eigh", "newton"):
            got = inverse_root(jnp.asarray(a), 2, method=method)
            np.testing.assert_allclose(got @ got @ a, np.eye(4), atol=1e-8)


@pytest.mark.parametrize("method", ["eigh", "newton"])
def test_a_batch_is_matrices_one_by_one(method):
    a = np.stack([(i + 1) * hilbert(4) + 0.1 * np.eye(4) for i in range(3)]).astype(np.float32)
    got = inverse_root(a, 4, method=method)
    alone = jnp.stack([inverse_root(m, 4, method=method) for m in a])
    np.testing.assert_allclose(got, alone, rtol=2e-5)


def differences(f, a, da, h=1e-5):
    return (f(a + h * da) - f(a - h * da)) / (2 * h)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(
    "values", [[4.0, 2.0, 1.0], [3.0, 3.0, 3.0], [2.0, 2.0, 0.5], [2.0, 2.0 + 1e-7, 0.5]]
)
def test_the_derivative_is_exact_where_eigenvalues_are_equal_too(values, relative):
    rng = np.random.default_rng(1)
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    a = (q * values) @ q.T
    da = rng.normal(size=(3, 3))
    da = da + da.T
    # The largest eigenvalue has no derivative where two share it.
    ridge = 0.1 if not relative or len(set(np.round(values, 5))) == 3 else 0.0

    def f(a):
        return inverse_root(a, 4, ridge=ridge, relative=relative)

    with oracles.double_precision():
        _, got = jax.jvp(f, (jnp.asarray(a),), (jnp.asarray(da),))
        expected = differences(f, jnp.asarray(a), jnp.asarray(da))
        np.testing.assert_allclose(got, expected, atol=1e-8)
        pulled = jax.grad(lambda a: jnp.sum(f(a) * da))(jnp.asarray(a))
        assert float(jnp.sum(pulled * da)) == pytest.approx(float(jnp.sum(expected * da)), rel=1e-6)


@pytest.mark.parametrize("method", ["eigh", "newton"])
def test_singular_matrices_are_finite(method):
    """So are the derivatives; `eigh`'s own are NaN where eigenvalues are equal."""
    one = jnp.outer(jnp.arange(3.0), jnp.arange(3.0))
    for a in (jnp.zeros((3, 3)), one, jnp.eye(3), 1e-20 * jnp.eye(3)):

        def total(a):
            return jnp.sum(inverse_root(a, 4, ridge=1e-6, method=method))

        assert jnp.isfinite(total(a))
        assert jnp.all(jnp.isfinite(jax.grad(total)(a)))
    assert not jnp.any(inverse_root(jnp.zeros((3, 3)), 4, method=method))
    assert inverse_root(jnp.zeros((0, 0)), 4, method=method).shape == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": jnp.ones((2, 3)), "p": 2}, r"must be square matrices, got shape \(2, 3\)"),
        ({"a": jnp.eye(2), "p": 0}, "p must be positive, got 0"),
        ({"a": jnp.eye(2), "p": 2, "ridge": -1.0}, "ridge must be at least 0, got -1.0"),
        ({"a": jnp.eye(2), "p": 2.5, "method": "newton"}, "p must be a whole number"),
        ({"a": jnp.eye(2), "p": 2, "method": "svd"}, "must be 'eigh' or 'newton', got 'svd'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        inverse_root(**arguments)
