"""Sign descent against algorithms 1 and 2 of arXiv 1802.04434."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def sign(x):
    """The sign in float64, of a complex number its direction."""
    return x / np.where(x == 0, 1, np.abs(x))


def signum_1802_04434(w, grads, lr, beta):
    m = np.zeros_like(w)
    for g in grads:
        m = beta * m + (1 - beta) * g
        w = w - lr * sign(m)
        yield w


def test_sign_sgd():
    oracles.agrees(optcore.sign_sgd(0.03), lambda w, g: signum_1802_04434(w, g, 0.03, 0.0))


@pytest.mark.parametrize("beta", [0.4, 0.95])
def test_signum(beta):
    tx = optcore.signum(0.03, beta)
    oracles.agrees(tx, lambda w, g: signum_1802_04434(w, g, 0.03, beta))


def test_every_step_has_the_length_of_the_rate():
    params, grads = jnp.zeros(3), jnp.array([1e-20, -3.0, 1e20])
    for tx in (optcore.sign_sgd(0.25), optcore.signum(0.25)):
        step, _ = tx.update(grads, tx.init(params))
        np.testing.assert_array_equal(step, [-0.25, 0.25, -0.25])


def test_accumulator_dtype():
    tx = optcore.signum(0.1, accumulator_dtype=jnp.bfloat16)
    assert tx.init(jnp.zeros(3))[0].mu.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["sign_sgd", "signum"])
def test_as_optax(name):
    ours, theirs = named(name), getattr(optax, name)
    oracles.same_defaults(ours, theirs)
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    *_, got = oracles.run(ours(0.1), params, grads)
    *_, expected = oracles.run(theirs(0.1), params, grads)
    oracles.close(got, expected, params)
