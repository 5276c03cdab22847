"""Rounding: to the nearest as conversion does, at random without bias, and into exact halves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optcore.storage._rounding import _stochastic, join_bits, nearest, split_bits, stochastic
from tests.storage.narrow import DTYPES, across_exponents, bits

DRAWS = 1 << 16


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_nearest_is_conversion(dtype):
    low, high = (-120, 127) if dtype == jnp.bfloat16 else (-30, 18)
    x = across_exponents(20_000, low, high, 0)
    ties = (np.arange(1, 2000) + 0.5).astype(np.float32) * np.float32(2.0**-9)
    edges = np.float32([0.0, -0.0, 65504, 65519, 65520, -65520, np.inf, -np.inf])
    x = jnp.asarray(np.concatenate([x, ties, edges]))
    rounded = jax.jit(nearest, static_argnums=1)(x, dtype)
    np.testing.assert_array_equal(bits(rounded), bits(x.astype(dtype).astype(jnp.float32)))
    assert np.isnan(nearest(jnp.float32(np.nan), dtype))


@pytest.mark.parametrize("share", [2**-16, 0.125, 0.5, 0.9])
@pytest.mark.parametrize(("dtype", "digits"), [(jnp.bfloat16, 7), (jnp.float16, 10)])
@pytest.mark.parametrize("at", [1.0, -3.0, 2.0**-20])
def test_expectation_and_variance(dtype, digits, share, at):
    """The number of those that go up is binomial; 5 sigma."""
    lowest = -126 if dtype == jnp.bfloat16 else -14
    spacing = 2.0 ** (max(np.floor(np.log2(abs(at))), lowest) - digits)
    # Exactly on the grid of 2⁻¹⁶ spacings, as every float32 is for bfloat16.
    share = (
        np.round(share * 2**13) / 2**13 if dtype == jnp.float16 else np.round(share * 2**16) / 2**16
    )
    below = np.float32(at)
    x = np.float32(below + share * spacing)
    share = (float(x) - float(below)) / spacing
    drawn = stochastic(jnp.full(DRAWS, x), dtype, jax.random.key(7))
    drawn = np.asarray(drawn, np.float64)
    assert set(drawn) <= {float(below), float(below) + spacing}
    sigma = spacing * np.sqrt(share * (1 - share) / DRAWS)
    assert abs(drawn.mean() - float(x)) <= 5 * sigma
    slack = 5 * abs(1 - 2 * share) * sigma * spacing + 25 * spacing**2 / DRAWS
    assert abs(drawn.var() - share * (1 - share) * spacing**2) <= slack


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_what_the_format_holds_stays(dtype):
    x = across_exponents(10_000, -14, 15, 1)
    x = jnp.asarray(x).astype(dtype).astype(jnp.float32)
    rounding = jax.jit(stochastic, static_argnums=1)
    np.testing.assert_array_equal(rounding(x, dtype, jax.random.key(0)), x)
    odd = jnp.float32([jnp.inf, -jnp.inf, 0.0, -0.0])
    np.testing.assert_array_equal(bits(rounding(odd, dtype, jax.random.key(0))), bits(odd))
    assert np.isnan(stochastic(jnp.float32(jnp.nan), dtype, jax.random.key(0)))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_the_smallest_and_the_largest_draw(dtype):
    """Draws of 0 take what is between two numbers up, those of 65535 down, and nothing else."""
    x = jnp.float32([1.0, 1 + 2**-12, -1 - 2**-12, -1.0])
    spacing = jnp.finfo(dtype).eps
    lowest, highest = (
        _stochastic(x, jnp.full(4, draw, jnp.uint16), dtype) for draw in (0, 2**16 - 1)
    )
    # In float16 up is towards infinity, in bfloat16 away from zero.
    away = dtype == jnp.bfloat16
    assert lowest.tolist() == [1, 1 + spacing, -1 - spacing if away else -1, -1]
    assert highest.tolist() == [1, 1, -1 if away else -1 - spacing, -1]


def test_the_largest_numbers_stay_finite():
    x = jnp.full(1000, np.finfo(np.float32).max)
    drawn = stochastic(x, jnp.bfloat16, jax.random.key(0))
    assert set(np.asarray(drawn).tolist()) == {float(jnp.finfo(jnp.bfloat16).max)}


def every_exponent():
    """Finite float32 of each exponent and sign, subnormals and the ends of mantissas included."""
    rng = np.random.default_rng(2)
    mantissas = np.concatenate(
        [rng.integers(0, 1 << 23, 200), [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x18000, 0x7FFFFF]]
    ).astype(np.uint32)
    exponents = np.arange(255, dtype=np.uint32)[:, None] << 23
    numbers = (exponents | mantissas[None]).ravel()
    return np.concatenate([numbers, numbers | np.uint32(1 << 31)]).view(np.float32)


def test_split_is_exact():
    x = every_exponent()

    @jax.jit
    def there_and_back(x):
        p, rest = split_bits(x, 16)
        p = p.astype(jnp.bfloat16)
        return p, rest, join_bits(p, rest)

    p, rest, joined = there_and_back(x)
    assert rest.dtype == jnp.uint16
    np.testing.assert_array_equal(bits(joined), bits(x))
    # The parameter is the nearest; the two ways of ties apart.
    tie = bits(x) & 0xFFFF == 0x8000
    expected = bits(jnp.asarray(x).astype(jnp.bfloat16))
    normal = np.abs(x) >= np.finfo(np.float32).tiny
    np.testing.assert_array_equal(bits(p)[~tie & normal], expected[~tie & normal])
    np.testing.assert_array_equal(bits(p)[tie], (bits(x)[tie] >> 16) + 1)


def test_split_of_eight_bits_keeps_24():
    x = every_exponent()
    x = x[np.abs(x) < 3e38]
    p, rest = split_bits(jnp.asarray(x), 8)
    joined = np.asarray(join_bits(p.astype(jnp.bfloat16), rest))
    assert rest.dtype == jnp.uint8
    np.testing.assert_array_equal(bits(joined) & 0xFF, 0)
    away = np.abs(bits(joined).astype(np.int64) - bits(x).astype(np.int64))
    assert away.max() == 128  # half of what 8 bits more or less are worth
    again = join_bits(*split_bits(jnp.asarray(joined), 8))
    np.testing.assert_array_equal(bits(again), bits(joined))


@pytest.mark.parametrize("count", [8, 16])
def test_split_of_what_is_not_finite(count):
    x = jnp.asarray(np.uint32([0x7F800000, 0xFF800000, 0x7FFFFFFF, 0x7F800001]).view(np.float32))
    p, rest = split_bits(x, count)
    joined = np.asarray(join_bits(p.astype(jnp.bfloat16), rest))
    assert joined[0] == np.inf
    assert joined[1] == -np.inf
    assert np.isnan(joined[2:]).all()
    assert np.isnan(np.asarray(p)[2:]).all()


def test_derivatives_pass_through():
    def slope(rounding):
        return jax.grad(lambda x: 3 * rounding(x))(jnp.float32(1.001)).item()

    key = jax.random.key(0)
    assert slope(lambda x: nearest(x, jnp.bfloat16)) == 3
    assert slope(lambda x: nearest(x, jnp.float16)) == 3
    assert slope(lambda x: stochastic(x, jnp.bfloat16, key)) == 3
    assert slope(lambda x: join_bits(*split_bits(x, 16))) == 3
