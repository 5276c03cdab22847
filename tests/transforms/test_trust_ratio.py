"""The trust ratio against its formula, optax, and what it must do at and near zero."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def trusted(g, p, min_norm=0.0, trust_coefficient=1.0, eps=0.0):
    """The formula in float64."""
    p_norm = max(np.sqrt((np.abs(p) ** 2).sum()), min_norm)
    g_norm = max(np.sqrt((np.abs(g) ** 2).sum()), min_norm)
    return g * (trust_coefficient * p_norm / (g_norm + eps) if p_norm and g_norm else 1.0)


def once(tx, g, p):
    return tx.update(g, tx.init(p), p)[0]


UNUSUAL = {
    "default": {},
    "coefficient": {"trust_coefficient": 0.3},
    "eps": {"trust_coefficient": 2.0, "eps": 0.7},
    "min_norm": {"min_norm": 3.3, "eps": 0.1},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_trust_ratio(options):
    params, grads = {**oracles.start(), "small": np.float32([0.3])}, oracles.gradients(1)[0]
    grads["small"] = np.float32([-0.01])
    u = once(optcore.scale_by_trust_ratio(**options), grads, params)
    for name, g in oracles.double(grads).items():
        expected = trusted(g, oracles.double(params[name]), **options)
        np.testing.assert_allclose(u[name], expected, rtol=2e-6)


@unusual
def test_as_optax(options):
    params, grads = oracles.start(), oracles.gradients(1)[0]
    del params["z"], grads["z"]
    u = once(optcore.scale_by_trust_ratio(**options), grads, params)
    with jax.numpy_dtype_promotion("standard"):
        expected = once(optax.scale_by_trust_ratio(**options), grads, params)
    np.testing.assert_allclose(u["w"], expected["w"], rtol=1e-6)


def test_where_a_norm_is_zero_the_update_stays():
    g, zeros = jnp.array([3.0, -4.0]), jnp.zeros(2)
    tx = optcore.scale_by_trust_ratio(trust_coefficient=0.1)
    np.testing.assert_array_equal(once(tx, g, zeros), g)
    np.testing.assert_array_equal(once(tx, zeros, g), zeros)
    # A lower bound of the norms leaves none that is zero.
    bounded = optcore.scale_by_trust_ratio(min_norm=0.5, trust_coefficient=0.1)
    np.testing.assert_allclose(once(bounded, g, zeros), 0.01 * g, rtol=1e-6)


@pytest.mark.parametrize("magnitude", [1e30, 1e-36])
def test_huge_and_tiny_gradients(magnitude):
    g, p = np.float32([3 * magnitude, 0, -4 * magnitude]), np.float32([0.0, 600.0, 800.0])
    u = once(optcore.scale_by_trust_ratio(), g, p)
    np.testing.assert_allclose(u, [600.0, 0.0, -800.0], rtol=1e-5)


def test_a_nan_passes_on():
    u = once(optcore.scale_by_trust_ratio(), jnp.array([jnp.nan, 1.0]), jnp.ones(2))
    assert np.isnan(u).all()


def test_defaults():
    oracles.same_defaults(optcore.scale_by_trust_ratio, optax.scale_by_trust_ratio)
