"""Fromage against algorithm 1 of arXiv 2002.03432 and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def norm(x):
    return np.sqrt((np.abs(x) ** 2).sum())


def fromage_2002_03432(w, grads, lr, min_norm=0.0):
    for t, g in enumerate(grads):
        eta = lr(t) if callable(lr) else lr
        trusted = max(norm(w), min_norm) / max(norm(g), min_norm) * g
        w = (w - eta * trusted) / np.sqrt(1 + eta**2)
        yield w


@pytest.mark.parametrize(("lr", "min_norm"), [(0.03, 1e-6), (1.5, 0.0), (0.3, 2.4)])
def test_fromage(lr, min_norm):
    tx = optcore.fromage(lr, min_norm)
    oracles.agrees(tx, lambda w, g: fromage_2002_03432(w, g, lr, min_norm))


def test_a_scheduled_rate():
    rate = optcore.exponential_decay(0.5, 1, 0.5)
    tx, grads = optcore.fromage(rate), oracles.gradients(6)
    oracles.agrees(tx, lambda w, g: fromage_2002_03432(w, g, lambda t: 0.5 * 0.5**t), grads=grads)


@pytest.mark.parametrize("schedule", [False, True])
def test_the_small_change_of_a_small_rate_is_not_lost(schedule):
    rate = 1e-3
    tx = optcore.fromage(optcore.constant_schedule(rate) if schedule else rate)
    w, g = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    step, _ = tx.update(g, tx.init(w), w)
    np.testing.assert_allclose(step[0], 1 / np.sqrt(1 + rate**2) - 1, rtol=1e-6)


def test_weights_at_zero_can_start():
    tx = optcore.fromage(0.1, min_norm=0.0)
    step, _ = tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))
    np.testing.assert_allclose(step, np.array([-0.3, 0.4]) / np.sqrt(1.01), rtol=1e-6)


def test_as_optax():
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    *_, got = oracles.run(optcore.fromage(0.3), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.fromage(0.3), params, grads)
    oracles.close(got, expected, params)
    oracles.same_defaults(optcore.fromage, optax.fromage)
