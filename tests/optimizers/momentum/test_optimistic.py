"""Optimistic gradient descent against its definition, optax, and a game that it solves."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def ogda_1901_08511(w, grads, lr, alpha, beta):
    """Equation 7, with the first gradient standing for the one before it."""
    before = grads[0]
    for g in grads:
        w = w - lr * (alpha * g + beta * (g - before))
        before = g
        yield w


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.3, 1.7), (2.0, 0.0), (0.0, 0.6)])
def test_optimistic_gradient_descent(alpha, beta):
    oracle = functools.partial(ogda_1901_08511, lr=0.03, alpha=alpha, beta=beta)
    tx = optcore.optimistic_gradient_descent(0.03, alpha, beta)
    if alpha == 0:  # the first step is zero
        w, grads = oracles.start(), oracles.gradients(2)
        *_, got = oracles.run(tx, w, grads)
        expected = {k: list(oracle(oracles.double(w[k]), [g[k] for g in grads]))[-1] for k in w}
        oracles.close(got, expected, w)
    else:
        oracles.agrees(tx, oracle)


def test_as_optax():
    params, grads = oracles.start(), oracles.gradients(5)
    *_, got = oracles.run(optcore.optimistic_gradient_descent(0.1, 0.7, 0.4), params, grads)
    *_, expected = oracles.run(optax.optimistic_gradient_descent(0.1, 0.7, 0.4), params, grads)
    oracles.close(got, expected, params)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_it_converges_on_a_bilinear_game_at_its_own_speed(rate):
    """On xᵀy the iterates are a linear recurrence, whose spectral radius is below 1."""
    tx = optcore.optimistic_gradient_descent(rate)
    w = jnp.array([1.0, 1.0])
    state = tx.init(w)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    both = np.block([[np.eye(2) - 2 * rate * turn, rate * turn], [np.eye(2), np.zeros((2, 2))]])
    expected = np.array([1.0, 1.0, 1.0, 1.0])
    assert np.abs(np.linalg.eigvals(both)).max() < 1
    for _ in range(20):
        step, state = tx.update(jnp.array([w[1], -w[0]]), state)
        w, expected = w + step, both @ expected
    np.testing.assert_allclose(w, expected[:2], rtol=1e-5)


@pytest.mark.parametrize("name", ["optimistic_gradient_descent", "scale_by_optimistic_gradient"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
