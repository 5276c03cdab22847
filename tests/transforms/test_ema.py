"""The exponentially weighted average of the updates."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def average_1412_6980(w, grads, decay, debias):
    """Section 3, equation 4: the average as the explicit sum over all gradients."""
    for t in range(1, len(grads) + 1):
        v = sum((1 - decay) * decay ** (t - i) * grads[i - 1] for i in range(1, t + 1))
        w = w + (v / (1 - decay**t) if debias else v)
        yield w


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.7, 0.999])
def test_ema(decay, debias):
    tx = optcore.ema(decay, debias)
    oracles.agrees(tx, lambda w, g: average_1412_6980(w, g, decay, debias))


def response(tx, steps):
    """What an impulse in the first step gives in all of them."""
    state = tx.init(jnp.float32(0))
    given = []
    for t in range(steps):
        u, state = tx.update(jnp.float32(t == 0), state)
        given.append(u.item())
    return np.array(given)


def test_it_averages_over_about_one_over_one_minus_decay_steps():
    decay = 0.95
    window = round(1 / (1 - decay))
    weights = response(optcore.ema(decay, debias=False), 20 * window)
    assert weights.sum() == pytest.approx(1, rel=1e-5)
    # The oldest gradient inside the window has lost a factor e, and the mean age is its length.
    assert weights[window] / weights[0] == pytest.approx(1 / np.e, rel=0.03)
    ages = np.arange(1, len(weights) + 1)
    assert (ages * weights).sum() == pytest.approx(window, rel=1e-4)


def test_a_constant_is_its_own_average():
    g = np.float32([3.0, -0.1])
    tx = optcore.ema(0.99)
    state = tx.init(g)
    for _ in range(10):
        u, state = tx.update(g, state)
        np.testing.assert_allclose(u, g, rtol=1e-6)


def test_state():
    params = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.int32(3)}
    tx = optcore.ema(0.75)
    state = tx.init(params)
    assert state.count.dtype == jnp.int32
    assert state.count == 0
    assert state.mu["w"].dtype == jnp.float32
    assert state.mu["n"] is None
    for _ in range(2):
        u, state = tx.update({"w": jnp.array([4.0, -8.0]), "n": None}, state)
    assert state.count == 2
    np.testing.assert_array_equal(state.mu["w"], [1.75, -3.5])
    np.testing.assert_allclose(u["w"], [4.0, -8.0], rtol=1e-6)


def test_accumulator_dtype():
    w = jnp.zeros(2)
    tx = optcore.ema(0.0, accumulator_dtype=jnp.bfloat16)
    u, state = tx.update(jnp.array([1.001, -3.0]), tx.init(w))
    np.testing.assert_array_equal(u, jnp.array([1.001, -3.0]))
    assert state.mu.dtype == jnp.bfloat16


def test_defaults():
    oracles.same_defaults(optcore.ema, optax.ema)
