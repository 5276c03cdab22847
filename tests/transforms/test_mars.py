"""Variance reduction by the difference of successive gradients (2411.10438)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

inf = float("inf")


@pytest.mark.parametrize(
    ("b1", "gamma", "max_norm"), [(0.7, 0.4, inf), (0.9, 0.1, 1.0), (0.5, 2.0, 5.0), (0.0, 1, 2.0)]
)
def test_mars(b1, gamma, max_norm):
    def corrected(w, grads):
        last = np.zeros_like(w)
        for g in grads:
            c = g + gamma * b1 / (1 - b1) * (g - last)
            w = w + c * min(1, max_norm / np.linalg.norm(c))
            last = g
            yield w

    oracles.agrees(optcore.transforms.mars(b1, gamma, max_norm), corrected)


def signed():
    return optcore.stateless(lambda updates, params: jax.tree.map(jnp.sign, updates))


@pytest.mark.parametrize(
    ("key", "tx"),
    [
        (
            "AGI-Arena-MARS/MARS(lr=.01,gamma=.025,optimize_1d)",
            optcore.chain(optcore.transforms.mars(), optcore.adam(0.01, 0.95, 0.99)),
        ),
        (
            "AGI-Arena-MARS/MARS(lr=.01,mars-lion,optimize_1d)",
            optcore.chain(
                optcore.transforms.mars(),
                optcore.ema(0.95, debias=False),
                signed(),
                optcore.scale_by_learning_rate(0.01),
            ),
        ),
        # HeavyBall swaps b1 and gamma in the coefficient, and does not clip.
        (
            "heavyball-3.2.1/AdamW:mars{'lr': 0.01, 'mars': True}",
            optcore.chain(optcore.transforms.mars(0.0025, 0.9, inf), optcore.adam(0.01, 0.9, 0.99)),
        ),
    ],
)
def test_golden(key, tx):
    oracles.matches_golden(tx, key)


def test_without_correction_or_clipping_it_is_the_identity():
    g = oracles.start()
    for tx in (optcore.transforms.mars(0.9, 0.0, inf), optcore.transforms.mars(0.0, 0.5, inf)):
        u, state = tx.update(g, tx.init(g))
        for name in g:
            np.testing.assert_array_equal(u[name], g[name])
            np.testing.assert_array_equal(state.previous_gradient[name], g[name])


def test_a_frozen_leaf_keeps_its_last_gradient():
    params = {"w": jnp.zeros(2), "n": jnp.int32(1)}
    tx = optcore.transforms.mars()
    _, state = tx.update({"w": jnp.ones(2), "n": None}, tx.init(params))
    u, state = tx.update({"w": None, "n": None}, state)
    assert u["w"] is None
    assert state.previous_gradient["n"] is None
    np.testing.assert_array_equal(state.previous_gradient["w"], 1)
