"""AdaBelief against its box in arXiv 2010.07468, pytorch_optimizer and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def adabelief_2010_07468(w, grads, lr, b1, b2, eps, eps_root, nesterov=False):
    """Algorithm 2, with the second epsilon of the authors' code and Dozat's look ahead."""
    m, s = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * np.abs(g - m) ** 2 + eps_root
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = w - lr * m_hat / (np.sqrt(s / (1 - b2**t)) + eps)
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "eps": 0.1, "eps_root": 0.0},
    "both": {"b1": 0.7, "b2": 0.6, "eps": 0.1, "eps_root": 0.2},
    "long": {"b1": 0.95, "b2": 0.9999, "eps": 1e-8, "eps_root": 1e-12},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
either = pytest.mark.parametrize("nesterov", [False, True], ids=["plain", "nesterov"])


@unusual
@either
def test_adabelief(options, nesterov):
    oracle = functools.partial(adabelief_2010_07468, lr=0.03, nesterov=nesterov, **options)
    oracles.agrees(optcore.adabelief(0.03, nesterov=nesterov, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(adabelief_2010_07468, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_belief(**options), oracle)


def test_golden():
    oracles.matches_golden(optcore.adabelief(0.01), "pytorch_optimizer-4.1.0/AdaBelief{'lr': 0.01}")


@either
def test_optax(nesterov):
    params, grads = oracles.start(), oracles.gradients(6)
    options = {**UNUSUAL["both"], "nesterov": nesterov}
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.adabelief(0.03, **options), params, grads)
    *_, got = oracles.run(optcore.adabelief(0.03, **options), params, grads)
    oracles.close(got, expected, params)


def test_gradients_that_agree_make_long_steps():
    """Where all gradients are equal, Adam's step is the rate, and this one grows."""
    tx = optcore.optimizers.scale_by_belief(0.5, 0.9)
    g = jnp.float32(3.0)
    state = tx.init(g)
    steps = []
    for _ in range(8):
        u, state = tx.update(g, state)
        steps.append(u.item())
    assert (np.diff(steps) > 0).all()
    # |g - m_t| = 3 / 2^t
    s = sum(0.1 * 0.9 ** (8 - t) * (3 / 2**t) ** 2 for t in range(1, 9)) / (1 - 0.9**8)
    assert steps[-1] == pytest.approx(3 / np.sqrt(s), rel=1e-5)


def test_without_epsilon_what_has_never_had_a_gradient_stays():
    tx = optcore.optimizers.scale_by_belief(0.5, 0.9, 0.0, 0.0)
    g = jnp.array([0.0, 3.0])

    def second(g):
        _, state = tx.update(g, tx.init(g))
        return tx.update(g, state)[0]

    assert second(g)[0] == 0
    assert np.isfinite(jax.jacobian(second)(g)).all()


def test_state():
    tx = optcore.optimizers.scale_by_belief(0.75, 0.5, eps_root=0.25)
    g = {"z": jnp.array([3 + 4j])}
    state = tx.init(g)
    assert state.nu["z"].dtype == jnp.float32
    _, state = tx.update(g, state)
    assert state.count == 1
    np.testing.assert_array_equal(state.mu["z"], [0.75 + 1j])
    np.testing.assert_allclose(state.nu["z"], [0.5 * 25 * 0.75**2 + 0.25], rtol=1e-6)


@pytest.mark.parametrize("name", ["adabelief", "scale_by_belief"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
