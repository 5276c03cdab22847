"""The running sum, in torch's form with dampening, and its relation to the running average."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def momentum(w, grads, decay, nesterov=False, dampening=0.0):
    """Sums of the directions of torch.optim.SGD, without rate and sign."""
    m = None
    for g in grads:
        m = g if m is None else decay * m + (1 - dampening) * g
        w = w + (decay * m + g if nesterov else m)
        yield w


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("dampening", [None, 0.0, 0.4])
def test_trace(dampening, nesterov):
    tx = optcore.trace(0.7, nesterov, dampening=dampening)
    oracles.agrees(tx, lambda w, g: momentum(w, g, 0.7, nesterov, dampening or 0.0))


def test_the_sum_is_the_average_amplified():
    """m_t = v_t / (1 - decay) for the plain running average v_t."""
    params, grads = oracles.start(), oracles.gradients()
    average = optcore.ema(0.8, debias=False)
    amplified = optcore.chain(average, optcore.scale(1 / (1 - 0.8)))
    sums = oracles.run(optcore.trace(0.8), params, grads)
    for a, b in zip(sums, oracles.run(amplified, params, grads), strict=True):
        oracles.close(a, b, params)


def test_a_constant_gradient_is_amplified():
    tx = optcore.trace(0.75)
    state = tx.init(jnp.float32(0))
    for _ in range(80):
        u, state = tx.update(jnp.float32(3.0), state)
    assert u == pytest.approx(3.0 / (1 - 0.75))


def test_state():
    params = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.int32(3)}
    state = optcore.trace(0.9).init(params)
    assert state.count is None
    assert state.trace["w"].dtype == jnp.float32
    assert state.trace["n"] is None
    tx = optcore.trace(0.5, dampening=0.25)
    state = tx.init(params)
    assert state.count == 0
    assert state.count.dtype == jnp.int32
    g = {"w": jnp.array([2.0, -4.0]), "n": None}
    _, state = tx.update(g, state)
    np.testing.assert_array_equal(state.trace["w"], [2, -4])
    u, state = tx.update(g, state)
    np.testing.assert_array_equal(state.trace["w"], [2.5, -5])
    np.testing.assert_array_equal(u["w"], [2.5, -5])
    assert state.count == 2


def test_accumulator_dtype():
    w = jnp.zeros(2)
    tx = optcore.trace(0.5, accumulator_dtype=jnp.bfloat16)
    state = tx.init(w)
    assert state.trace.dtype == jnp.bfloat16
    u, state = tx.update(jnp.array([1.001, -3.0]), state)
    np.testing.assert_array_equal(u, jnp.array([1.001, -3.0]))
    np.testing.assert_array_equal(state.trace, jnp.array([1.0, -3.0], jnp.bfloat16))


def test_the_gradient_through_an_update_is_that_of_the_recursion():
    def second(decay, dampening):
        tx = optcore.trace(decay, nesterov=True, dampening=dampening)
        state = tx.init(jnp.float32(0))
        _, state = tx.update(jnp.float32(2.0), state)
        return tx.update(jnp.float32(3.0), state)[0]

    # u = decay·(2·decay + 3·(1 - dampening)) + 3
    by_decay, by_dampening = jax.grad(second, argnums=(0, 1))(0.5, 0.25)
    assert by_decay == pytest.approx(4 * 0.5 + 3 * 0.75)
    assert by_dampening == pytest.approx(-3 * 0.5)


def test_defaults():
    oracles.same_defaults(optcore.trace, optax.trace)
    assert oracles.defaults(optcore.trace)["dampening"] is None
