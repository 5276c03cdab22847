"""LaProp against its box in arXiv 2002.04839, pytorch_optimizer and HeavyBall."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def laprop_2002_04839(w, grads, lr, b1, b2, eps):
    """The box of the paper."""
    m, n = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        n = b2 * n + (1 - b2) * np.abs(g) ** 2
        m = b1 * m + (1 - b1) * g / (np.sqrt(n / (1 - b2**t)) + eps)
        w = w - lr * m / (1 - b1**t)
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "eps": 0.1},
    "short": {"b1": 0.7, "b2": 0.3, "eps": 0.4},
    "no_first_moment": {"b1": 0.0, "b2": 0.6, "eps": 1e-3},
    "long": {"b1": 0.99, "b2": 0.9999, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_laprop(options):
    oracle = functools.partial(laprop_2002_04839, lr=0.03, **options)
    oracles.agrees(optcore.laprop(0.03, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["short"]
    oracle = functools.partial(laprop_2002_04839, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_laprop(**options), oracle)


@pytest.mark.parametrize(
    ("key", "tx"),
    [
        ("pytorch_optimizer-4.1.0/LaProp{'lr': 0.01}", optcore.laprop(0.01)),
        # The two differ in their default decay of the second moment.
        ("heavyball-3.2.1/LaProp{'lr': 0.01}", optcore.laprop(0.01, b2=0.99)),
    ],
    ids=["pytorch_optimizer", "heavyball"],
)
def test_golden(key, tx):
    oracles.matches_golden(tx, key)


def test_the_defaults_are_the_authors():
    for factory in (optcore.laprop, optcore.optimizers.scale_by_laprop):
        assert oracles.defaults(factory) == {"b1": 0.9, "b2": 0.999, "eps": 1e-15}


def test_the_update_is_bounded():
    """By 1 / √(1 - b2), whatever the gradients, also where b1² > b2 and Adam has no bound."""
    tx = optcore.optimizers.scale_by_laprop(0.99, 0.75)
    rng = np.random.default_rng(0)
    grads = jnp.asarray(rng.normal(size=(50, 64)) * 10.0 ** rng.integers(-6, 6, (50, 64)))

    def step(state, g):
        u, state = tx.update(g, state)
        return state, jnp.abs(u).max()

    _, longest = jax.lax.scan(step, tx.init(grads[0]), grads)
    assert longest.max() <= 2 * (1 + 1e-6)


def test_without_first_moment_it_is_adam():
    params, grads = oracles.start(), oracles.gradients(5)
    *_, a = oracles.run(optcore.laprop(0.03, 0.0, 0.8, 0.1), params, grads)
    *_, b = oracles.run(optcore.adam(0.03, 0.0, 0.8, 0.1), params, grads)
    oracles.close(a, b, params)


def test_what_has_never_had_a_gradient_stays():
    tx = optcore.optimizers.scale_by_laprop(eps=0.0)
    g = jnp.array([0.0, 3.0])

    def second(g):
        _, state = tx.update(g, tx.init(g))
        return tx.update(g, state)[0]

    np.testing.assert_allclose(second(g), [0.0, 1.0], rtol=1e-6)
    assert np.isfinite(jax.jacobian(second)(g)).all()


def test_state():
    tx = optcore.optimizers.scale_by_laprop(0.75, 0.5, 1.0)
    g = {"z": jnp.array([3 + 4j])}
    state = tx.init(g)
    assert state.nu["z"].dtype == jnp.float32
    _, state = tx.update(g, state)
    assert state.count == 1
    np.testing.assert_array_equal(state.nu["z"], [12.5])
    # The moment is of normalised gradients, before its correction.
    np.testing.assert_allclose(state.mu["z"], [0.25 * (3 + 4j) / 6], rtol=1e-6)
