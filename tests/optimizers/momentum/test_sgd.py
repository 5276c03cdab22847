"""SGD against torch's and Keras' definitions, at constant and at changing rates."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def sgd_torch(w, grads, rate, momentum=0.0, dampening=0.0, nesterov=False):
    """The box in the documentation of torch.optim.SGD."""
    b = None
    for t, g in enumerate(grads):
        b = g if b is None else momentum * b + (1 - dampening) * g
        w = w - rate(t) * (g + momentum * b if nesterov else b)
        yield w


def sgd_keras(w, grads, rate, momentum, nesterov=False):
    """keras/src/optimizers/sgd.py: the rate is inside the velocity."""
    v = np.zeros_like(w)
    for t, g in enumerate(grads):
        v = momentum * v - rate(t) * g
        w = w + momentum * v - rate(t) * g if nesterov else w + v
        yield w


def test_golden():
    tx = optcore.chain(optcore.add_decayed_weights(0.01), optcore.sgd(0.1, 0.9, nesterov=True))
    oracles.matches_golden(tx, "torch.optim/SGD(lr=.1,momentum=.9,nesterov,wd=.01)")


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("dampening", [None, 0.3])
def test_momentum(nesterov, dampening):
    tx = optcore.sgd(0.07, 0.6, nesterov, dampening=dampening)
    oracles.agrees(
        tx, lambda w, g: sgd_torch(w, g, lambda t: 0.07, 0.6, dampening or 0.0, nesterov)
    )


@pytest.mark.parametrize("nesterov", [False, True])
def test_without_momentum_it_is_plain_descent(nesterov):
    oracles.agrees(
        optcore.sgd(0.07, nesterov=nesterov), lambda w, g: sgd_torch(w, g, lambda t: 0.07)
    )


def test_momentum_zero_is_plain_descent():
    oracles.agrees(optcore.sgd(0.07, 0.0), lambda w, g: sgd_torch(w, g, lambda t: 0.07))


def halving(t):
    return 0.2 * 0.5**t


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_rate_stands_outside_the_momentum_as_in_torch(nesterov):
    rate = optcore.exponential_decay(0.2, 1, 0.5)
    grads = oracles.gradients(6)
    for tx in (
        optcore.sgd(rate, 0.8, nesterov),
        optcore.chain(optcore.trace(0.8, nesterov), optcore.scale_by_learning_rate(rate)),
    ):
        oracles.agrees(tx, lambda w, g: sgd_torch(w, g, halving, 0.8, 0.0, nesterov), grads=grads)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_chain_in_the_other_order_is_keras(nesterov):
    rate = optcore.exponential_decay(0.2, 1, 0.5)
    tx = optcore.chain(optcore.scale_by_learning_rate(rate), optcore.trace(0.8, nesterov))
    oracles.agrees(
        tx, lambda w, g: sgd_keras(w, g, halving, 0.8, nesterov), grads=oracles.gradients(6)
    )


def test_the_two_orders_differ_under_a_changing_rate_only():
    w, grads = np.zeros(3), list(np.random.default_rng(0).normal(size=(6, 3)))
    torch, keras = (list(f(w, grads, halving, 0.8)) for f in (sgd_torch, sgd_keras))
    assert np.abs(torch[-1] - keras[-1]).max() > 0.1
    torch, keras = (list(f(w, grads, lambda t: 0.2, 0.8)) for f in (sgd_torch, sgd_keras))
    np.testing.assert_allclose(torch, keras, rtol=1e-12)


def steps_on_a_parabola(tx, steps):
    """The steps on w²/2 from w = 1."""
    w = jnp.float32(1.0)
    state = tx.init(w)
    taken = []
    for _ in range(steps):
        step, state = tx.update(w, state, w)
        w = w + step
        taken.append(-step.item())
    return taken


def test_first_steps_on_a_parabola():
    assert steps_on_a_parabola(optcore.sgd(0.1), 1) == pytest.approx([0.1])
    outside = optcore.sgd(0.1, 0.9)
    inside = optcore.chain(optcore.scale_by_learning_rate(0.1), optcore.trace(0.9))
    for tx in (outside, inside):
        assert steps_on_a_parabola(tx, 2) == pytest.approx([0.1, 0.18])


def test_accumulator_dtype():
    w = jnp.ones(3, jnp.float32)
    tx = optcore.sgd(0.1, 0.9, accumulator_dtype=jnp.bfloat16)
    updates, state = tx.update(jnp.full(3, 1.001), tx.init(w))
    assert state[0].trace.dtype == jnp.bfloat16
    np.testing.assert_allclose(updates, -0.1001, rtol=1e-6)
    np.testing.assert_array_equal(state[0].trace, jnp.ones(3, jnp.bfloat16))


def test_defaults():
    oracles.same_defaults(optcore.sgd, optax.sgd)
    assert oracles.defaults(optcore.sgd)["dampening"] is None
