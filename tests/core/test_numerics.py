"""Numerics at the edges: against float64, and with finite derivatives."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optcore import abs_sq, debias, increment, over_root, safe_divide, safe_sqrt, wide
from tests.oracles import double_precision

LAST = 2**31 - 1


def exact_debias(decay, count):
    return -math.expm1(count * math.log(decay)) if decay > 0 and count > 0 else float(count > 0)


def exact_slope(decay, count):
    return -count * decay ** (count - 1) if count > 0 else 0.0


@pytest.mark.parametrize("count", [0, 1, 2, 1000, LAST])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999, 0.9999])
def test_debias_of_a_constant(decay, count):
    expected = 0.0 if count == 0 else exact_debias(decay, count)
    for kind in (debias, jax.jit(debias, static_argnums=0)):
        got = kind(decay, jnp.int32(count))
        assert got.dtype == jnp.float32
        assert float(got) == pytest.approx(expected, rel=3e-7)


@pytest.mark.parametrize("count", [0, 1, 2, 1000, LAST])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999, 0.9999])
def test_debias_of_a_traced_decay(decay, count):
    b = jnp.float32(decay)
    value, slope = jax.jit(jax.value_and_grad(debias))(b, jnp.int32(count))
    # The right value for the rounded decay: the rounding of 0.9999 itself costs 3e-4 of 1 - b.
    rounded = float(b)
    expected = 0.0 if count == 0 else exact_debias(rounded, count)
    # log(b) is good to half a unit in its last place, which counts `count` times.
    assert float(value) == pytest.approx(expected, rel=3e-7)
    assert np.isfinite(slope)
    exact = exact_slope(rounded, count)
    # The slope is 1 - debias, which cancels where it is small beside 1.
    assert float(slope) == pytest.approx(exact, rel=1e-4, abs=1e-6 * count)


def test_debias_keeps_the_digits_that_the_power_loses():
    decay, t = 0.9999, jnp.int32(1)
    naive = abs(float(1 - jnp.float32(decay) ** 1) / 1e-4 - 1)
    assert naive > 1e-5
    assert abs(float(debias(decay, t)) / 1e-4 - 1) < 1e-6


def test_debias_in_double_precision():
    with double_precision():
        got = debias(jnp.float64(0.9999), jnp.int32(7))
        assert got.dtype == jnp.float64
        assert float(got) == pytest.approx(exact_debias(0.9999, 7), rel=1e-12)


def test_debias_under_vmap():
    decays = jnp.array([0.0, 0.5, 0.9])
    got = jax.vmap(debias, in_axes=(0, None))(decays, jnp.int32(2))
    np.testing.assert_allclose(got, [1.0, 0.75, 0.19], rtol=1e-6)


def test_safe_sqrt():
    x = jnp.array([0.0, 1e-30, 0.25, 9.0])
    np.testing.assert_allclose(safe_sqrt(x), np.sqrt(x), rtol=1e-6)
    slopes = jax.vmap(jax.grad(safe_sqrt))(x)
    np.testing.assert_allclose(slopes, [0, 0.5e15, 1.0, 1 / 6], rtol=1e-6)
    curvature = jax.grad(jax.grad(safe_sqrt))
    assert float(curvature(4.0)) == pytest.approx(-0.25 * 4.0**-1.5)
    assert np.isfinite(curvature(0.0))


def test_safe_divide():
    b = jnp.array([0.0, -0.0, 4.0, -0.5, jnp.nan])
    np.testing.assert_allclose(safe_divide(3.0, b), [0, 0, 0.75, -6, np.nan], rtol=1e-6)
    assert jnp.isnan(safe_divide(jnp.nan, jnp.float32(2.0)))
    slopes = jax.vmap(jax.grad(safe_divide, argnums=(0, 1)), in_axes=(None, 0))(3.0, b[:4])
    np.testing.assert_allclose(slopes[0], [0, 0, 0.25, -2], rtol=1e-6)
    np.testing.assert_allclose(slopes[1], [0, 0, -3 / 16, -12], rtol=1e-6)


def test_over_root():
    g, nu = jnp.array([0.0, 2.0, 3.0]), jnp.array([0.0, 0.25, 9.0])
    np.testing.assert_allclose(over_root(g, nu, 0.0, 0.0), [0, 4, 1], rtol=1e-6)
    np.testing.assert_allclose(over_root(g, nu, 0.5, 0.0), [0, 2, 3 / 3.5], rtol=1e-6)
    np.testing.assert_allclose(over_root(g, nu, 0.0, 0.75), [0, 2, 3 / 9.75**0.5], rtol=1e-6)
    traced = jax.jit(over_root)(g, nu, 0.0, 0.0)
    np.testing.assert_allclose(traced, [0, 4, 1], rtol=1e-6)
    for small in (0.0, 1e-20, 1e-14, 1e-10):
        slope = jax.grad(lambda g: over_root(g, 0.1 * g * g, 0.0, 0.0))(jnp.float32(small))
        assert bool(jnp.isfinite(slope)), small


@pytest.mark.slow
@pytest.mark.parametrize("g", [0.0, 1e-15, 1e-3, 0.5, 30.0])
@pytest.mark.parametrize("floor", [0.0, 1e-30, 0.25])
def test_second_derivatives_over_a_root(g, floor):
    """Also where the third power of the denominator is outside the range of float32."""

    def scaled(g):
        return over_root(g, g * g, 0.0, floor)

    orders = (
        jax.jacfwd(jax.grad(scaled)),
        jax.grad(jax.grad(scaled)),
        jax.jacfwd(jax.jacfwd(scaled)),
    )
    expected = -3 * g * floor / (g * g + floor) ** 2.5 if floor else 0.0
    for order in orders:
        got = float(order(jnp.float32(g)))
        assert np.isfinite(got)
        if g in (0.0, 0.5, 30.0):
            assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("eps", [1e-39, 1e-46, 1e-300])
@pytest.mark.parametrize("place", [0, 1])
def test_an_epsilon_that_float32_takes_for_zero(eps, place):
    """A parameter that has never moved does not move, as with an epsilon of 0."""
    epsilons = (eps, 0.0) if place == 0 else (0.0, eps)
    g, nu = jnp.array([0.0, 2.0]), jnp.array([0.0, 0.25])
    np.testing.assert_allclose(over_root(g, nu, *epsilons), [0, 4], rtol=1e-6)


def test_increment_saturates():
    assert increment(jnp.int32(0)) == 1
    assert increment(jnp.int32(LAST - 1)) == LAST
    assert increment(jnp.int32(LAST)) == LAST
    assert increment(jnp.int32(5)).dtype == jnp.int32
    assert increment(jnp.uint8(255)) == 255


def test_abs_sq():
    x = jnp.array([-3.0, 0.5])
    np.testing.assert_array_equal(abs_sq(x), [9.0, 0.25])
    np.testing.assert_array_equal(abs_sq(x, 0.5), [4.5, 0.125])
    z = jnp.array([3 + 4j, -2j])
    assert abs_sq(z).dtype == jnp.float32
    np.testing.assert_array_equal(abs_sq(z), [25.0, 4.0])
    np.testing.assert_array_equal(abs_sq(z, 0.5), [12.5, 2.0])
    np.testing.assert_allclose(jax.grad(lambda z: abs_sq(z).sum())(z), 2 * z.conj())


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        (jnp.bfloat16, "float32"),
        (jnp.float16, "float32"),
        (jnp.float32, "float32"),
        (jnp.float64, "float32"),
        (jnp.complex64, "complex64"),
        (jnp.int8, "int8"),
    ],
)
def test_wide(narrow, expected):
    assert wide(narrow) == np.dtype(expected)
