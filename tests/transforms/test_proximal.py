"""Weight decay as a proximal step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def test_what_the_step_leads_to_is_divided():
    params, steps = oracles.start(), oracles.start(2)
    tx = optcore.transforms.shrink_weights(0.3)
    got, _ = tx.update(steps, tx.init(params), params)
    for name, p in oracles.double(params).items():
        np.testing.assert_allclose(p + got[name], (p + steps[name]) / 1.3, atol=1e-6)


def test_it_solves_the_proximal_problem():
    """`p + u` minimises `‖x - (p + step)‖² / 2 + rate · ‖x‖² / 2`."""
    p, step, rate = jnp.array([2.0, -1.0]), jnp.array([0.5, 3.0]), 0.7
    tx = optcore.transforms.shrink_weights(rate)
    x = p + tx.update(step, tx.init(p), p)[0]
    slope = jax.grad(lambda x: 0.5 * jnp.sum((x - p - step) ** 2) + 0.5 * rate * jnp.sum(x**2))(x)
    np.testing.assert_allclose(slope, 0, atol=1e-6)


def test_no_rate_overshoots():
    p = jnp.array([2.0, -4.0])
    tx = optcore.transforms.shrink_weights(1e3)
    x = p + tx.update(jnp.zeros(2), tx.init(p), p)[0]
    np.testing.assert_allclose(x, p / 1001, rtol=1e-3)


def test_the_mask_says_which_shrink():
    params, steps = oracles.start(), oracles.start(2)
    tx = optcore.transforms.shrink_weights(0.3, mask={"w": True, "z": False})
    got, _ = tx.update(steps, tx.init(params), params)
    np.testing.assert_array_equal(got["z"], steps["z"])
    assert not np.allclose(got["w"], steps["w"])


def test_it_needs_the_parameters():
    tx = optcore.transforms.shrink_weights(0.3)
    with pytest.raises(ValueError, match="shrink_weights needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
