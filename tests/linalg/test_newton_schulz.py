"""The polar factor by products of matrices, against NumPy's SVD in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optcore import linalg
from optcore.linalg import newton_schulz
from tests import oracles

SCHEDULES = {
    "keller": linalg.keller(),
    "you": linalg.you(),
    "polar_express": linalg.polar_express(),
    "chebyshev": linalg.chebyshev(),
    "deepseek_v4": linalg.deepseek_v4(),
    "cubic5": linalg.cubic5(),
}


def matrix(m, n, values, seed=0, dtype=np.float64):
    """A matrix with these singular values, and its factors."""
    rng = np.random.default_rng(seed)
    k = min(m, n)
    draw = rng.normal(size=(2, max(m, n), k))
    if np.issubdtype(dtype, np.complexfloating):
        draw = draw + 1j * rng.normal(size=draw.shape)
    u = np.linalg.qr(draw[0, :m])[0]
    v = np.linalg.qr(draw[1, :n])[0]
    return (u * values) @ v.conj().T, u, v.conj().T


def composed(coefficients, s):
    for a, b, c in coefficients:
        s = a * s + b * s**3 + c * s**5
    return s


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("gram", [False, True])
@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4)])
def test_singular_values_become_their_polynomial(name, gram, shape):
    """Exactly, whatever the polynomial, and the vectors are the same."""
    values = np.geomspace(1, 1e-2, min(shape))
    x, u, v = matrix(*shape, values)
    with oracles.double_precision():
        got = newton_schulz(jnp.asarray(x), SCHEDULES[name], scaling=None, gram=gram)
    expected = (u * composed(SCHEDULES[name], values)) @ v
    np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize("scaling", ["frobenius", "spectral"])
def test_the_polar_factor(scaling):
    x, u, v = matrix(6, 4, np.array([7.0, 3.0, 0.5, 0.05]))
    with oracles.double_precision():
        got = newton_schulz(
            jnp.asarray(x), linalg.polar_express(), scaling=scaling, factor=1.01, eps=0.0
        )
    np.testing.assert_allclose(got, u @ v, atol=1e-6)


def test_complex_matrices():
    x, u, v = matrix(4, 6, np.array([2.0, 1.0, 0.5, 0.1]), dtype=np.complex128)
    with oracles.double_precision():
        for gram in (False, True):
            got = newton_schulz(jnp.asarray(x), linalg.polar_express(), gram=gram)
            np.testing.assert_allclose(got, u @ v, atol=1e-6)


def test_of_the_transpose_it_is_the_transpose():
    x = jax.random.normal(jax.random.key(0), (5, 8))
    for scaling in ("frobenius", "spectral", "aol"):
        got = newton_schulz(x.T, scaling=scaling)
        if scaling == "spectral":
            # The iteration starts from another vector.
            np.testing.assert_allclose(got.T, newton_schulz(x, scaling=scaling), atol=1e-3)
        else:
            np.testing.assert_array_equal(got.T, newton_schulz(x, scaling=scaling))


def test_aol_bounds_the_spectral_norm_by_one():
    """Prach and Lampert (arXiv 2208.03160): for every matrix, without an estimate of its norm."""
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(6, 9)) ** 3
        with oracles.double_precision():
            scaled = newton_schulz(jnp.asarray(x), [(1.0, 0.0, 0.0)], scaling="aol")
        assert np.linalg.norm(scaled, 2) <= 1 + 1e-12
    row = newton_schulz(jnp.array([[3.0, 4.0]]), [(1.0, 0.0, 0.0)], scaling="aol")
    np.testing.assert_allclose(row, [[0.6, 0.8]], rtol=1e-6)


def test_a_batch_is_matrices_one_by_one():
    x = jax.random.normal(jax.random.key(1), (2, 3, 4, 6))
    got = newton_schulz(x, gram=True)
    alone = jnp.stack([newton_schulz(m, gram=True) for m in x.reshape(6, 4, 6)])
    np.testing.assert_allclose(got, alone.reshape(x.shape), atol=2e-6)


@pytest.mark.parametrize("scaling", ["frobenius", "spectral", "aol"])
@pytest.mark.parametrize("gram", [False, True])
def test_zero_and_rank_deficient_matrices_are_finite(scaling, gram):
    """So are the derivatives."""
    one = jnp.outer(jnp.arange(4.0), jnp.arange(1.0, 7.0))
    for x in (jnp.zeros((4, 6)), one, 1e-30 * one, 1e18 * one):

        def total(x):
            return jnp.sum(newton_schulz(x, scaling=scaling, gram=gram, eps=0.0) ** 2)

        assert jnp.isfinite(total(x))
        assert jnp.all(jnp.isfinite(jax.grad(total)(x)))
    assert not jnp.any(newton_schulz(jnp.zeros((4, 6)), scaling=scaling, gram=gram))


def test_sizes_at_the_edge():
    for shape in ((1, 5), (5, 1), (1, 1)):
        got = newton_schulz(2 * jnp.ones(shape), linalg.polar_express())
        np.testing.assert_allclose(got, jnp.ones(shape) / np.sqrt(max(shape)), rtol=1e-5)
    for shape in ((0, 5), (3, 0, 2), (0, 2, 2)):
        assert newton_schulz(jnp.ones(shape)).shape == shape


def test_dtypes():
    x = jax.random.normal(jax.random.key(2), (8, 16))
    exact = newton_schulz(x)
    narrow = newton_schulz(x, dtype="bfloat16")
    assert narrow.dtype == exact.dtype == jnp.float32
    error = float(jnp.abs(narrow - exact).max())
    assert 1e-4 < error < 6e-2
    assert newton_schulz(x.astype(jnp.bfloat16)).dtype == jnp.float32


def test_the_gram_form_is_taken_where_it_has_fewer_operations():
    def products(shape, gram):
        text = str(jax.make_jaxpr(lambda x: newton_schulz(x, gram=gram))(jnp.ones(shape)))
        return text.count("dot_general")

    for shape in ((8, 11), (8, 13), (13, 8)):
        fewer = linalg.polar_flops(*shape, linalg.keller(), True) < linalg.polar_flops(
            *shape, linalg.keller(), False
        )
        assert products(shape, None) == products(shape, fewer)
        assert products(shape, True) != products(shape, False)


def test_operations_are_counted_as_xla_does():
    for shape in ((16, 64), (16, 16)):
        for gram in (False, True):
            x = jnp.ones(shape)
            compiled = jax.jit(lambda x, g=gram: newton_schulz(x, scaling=None, gram=g)).lower(x)
            counted = compiled.compile().cost_analysis()["flops"]
            expected = linalg.polar_flops(*shape, linalg.keller(), gram)
            # Sums of matrices are counted too.
            assert expected <= counted <= 1.15 * expected


def test_refuses():
    with pytest.raises(ValueError, match=r"at least two axes, got shape \(3,\)"):
        newton_schulz(jnp.ones(3))
    with pytest.raises(ValueError, match=r"scaling must be 'frobenius', .* got 'max'"):
        newton_schulz(jnp.ones((2, 2)), scaling="max")
