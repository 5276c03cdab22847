"""Adamax against torch and the second box of arXiv 1412.6980."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def adamax_1412_6980(w, grads, lr, b1, b2, eps, decay=0.0):
    """Algorithm 2, with torch's epsilon and decoupled decay."""
    m, n = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        n = np.maximum(b2 * n, np.abs(g) + eps)
        w = w - lr * (m / ((1 - b1**t) * n) + decay * w)
        yield w


UNUSUAL = {
    "short": {"b1": 0.6, "b2": 0.7, "eps": 0.3},
    "remembering": {"b1": 0.8, "b2": 0.99, "eps": 0.1},
    "no_first_moment": {"b1": 0.0, "b2": 0.9, "eps": 0.0},
    "no_maximum": {"b1": 0.9, "b2": 0.0, "eps": 0.5},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_adamax(options):
    oracle = functools.partial(adamax_1412_6980, lr=0.03, **options)
    oracles.agrees(optcore.adamax(0.03, **options), oracle)


def test_adamaxw():
    options = UNUSUAL["short"]
    oracle = functools.partial(adamax_1412_6980, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.adamaxw(0.03, weight_decay=0.7, **options), oracle)


def test_adamaxw_decays_what_the_mask_says():
    tx = optcore.adamaxw(0.5, weight_decay=0.5, mask={"w": True, "z": False})
    params = {"w": jnp.ones(2), "z": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), params)
    np.testing.assert_array_equal(updates["w"], [-0.25, -0.25])
    np.testing.assert_array_equal(updates["z"], [0.0, 0.0])


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["short"]
    oracle = functools.partial(adamax_1412_6980, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_adamax(**options), oracle)


def test_golden():
    oracles.matches_golden(optcore.adamax(0.01), "torch.optim/Adamax(lr=.01)")


def test_the_longest_steps():
    """`n_t ≥ b2^(t-i) |g_i|` bounds `u_t`; gradients that fall as the maximum does attain it."""
    b1, b2 = 0.5, 0.8
    tx = optcore.optimizers.scale_by_adamax(b1, b2, 0.0)
    state = tx.init(jnp.float32(0.0))
    for t in range(1, 21):
        u, state = tx.update(jnp.float32(b2**t), state)
        bound = (1 - b1) * (1 - (b1 / b2) ** t) / (1 - b1 / b2) / (1 - b1**t)
        assert u == pytest.approx(bound, rel=1e-6)


def test_what_has_never_had_a_gradient_stays():
    tx = optcore.optimizers.scale_by_adamax(eps=0.0)
    g = jnp.array([0.0, 3.0])

    def second(g):
        _, state = tx.update(g, tx.init(g))
        return tx.update(g, state)[0]

    np.testing.assert_allclose(second(g), [0.0, 1.0], rtol=1e-6)
    assert np.isfinite(jax.jacobian(second)(g)).all()


def test_state():
    tx = optcore.optimizers.scale_by_adamax(0.75, 0.5, 0.0)
    g = {"w": jnp.array([2.0]), "z": jnp.array([3 + 4j])}
    state = tx.init(g)
    assert state.nu["z"].dtype == jnp.float32
    _, state = tx.update(g, state)
    _, state = tx.update(jax.tree.map(jnp.zeros_like, g), state)
    assert state.count == 2
    np.testing.assert_array_equal(state.nu["w"], [1.0])
    np.testing.assert_array_equal(state.nu["z"], [2.5])
    np.testing.assert_array_equal(state.mu["w"], [0.375])


@pytest.mark.parametrize("name", ["adamax", "adamaxw", "scale_by_adamax"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
