"""Adan against pytorch_optimizer and the algorithm of arXiv 2208.06677 and its authors' code."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def adan_2208_06677(w, grads, lr, b1, b2, b3, eps, eps_root=0.0, decay=0.0):
    """Algorithm 1 with `β = 1 - b`, its proximal decay, and the corrections of the code."""
    m, v, n, last = np.zeros_like(w), np.zeros_like(w), np.zeros(w.shape), grads[0]
    for t, g in enumerate(grads, start=1):
        beta1, beta2, beta3 = 1 - b1, 1 - b2, 1 - b3
        m = (1 - beta1) * m + beta1 * g
        v = (1 - beta2) * v + beta2 * (g - last)
        n = (1 - beta3) * n + beta3 * np.abs(g + (1 - beta2) * (g - last)) ** 2
        m_hat, v_hat, n_hat = m / (1 - b1**t), v / (1 - b2**t), n / (1 - b3**t)
        eta = lr / (np.sqrt(n_hat + eps_root) + eps)
        w = (w - eta * (m_hat + (1 - beta2) * v_hat)) / (1 + decay * lr)
        last = g
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.3, "b3": 0.95, "eps": 0.1, "eps_root": 0.0},
    "inside": {"b1": 0.5, "b2": 0.7, "b3": 0.6, "eps": 1e-3, "eps_root": 0.3},
    "no_memory": {"b1": 0.0, "b2": 0.0, "b3": 0.0, "eps": 0.2, "eps_root": 0.0},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_adan(options):
    oracle = functools.partial(adan_2208_06677, lr=0.03, decay=1.7, **options)
    oracles.agrees(optcore.adan(0.03, weight_decay=1.7, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["inside"]
    oracle = functools.partial(adan_2208_06677, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_adan(**options), oracle)


def test_adan_decays_what_the_mask_says():
    params, grads = oracles.start(), oracles.gradients()
    options = UNUSUAL["outside"]
    tx = optcore.adan(0.03, weight_decay=1.7, mask={"w": True, "z": False}, **options)
    *_, got = oracles.run(tx, params, grads)
    for name, decay in (("w", 1.7), ("z", 0.0)):
        of_leaf = [oracles.double(g[name]) for g in grads]
        *_, want = adan_2208_06677(
            oracles.double(params[name]), of_leaf, 0.03, decay=decay, **options
        )
        oracles.close({name: got[name]}, {name: want}, params)


def test_golden():
    tx = optcore.adan(0.01, eps_root=0.0)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/Adan{'lr': 0.01}")


def test_a_gradient_that_never_changes_makes_it_adam():
    """No difference ever comes in, also not that of the first gradient from nothing."""
    params, g = oracles.start(), oracles.gradients(1)[0]
    adan = oracles.run(optcore.optimizers.scale_by_adan(0.9, 0.5, 0.8, 0.1), params, 5 * [g])
    adam = oracles.run(optcore.scale_by_adam(0.9, 0.8, 0.1), params, 5 * [g])
    for got, want in zip(adan, adam, strict=True):
        oracles.close(got, want, params)


def test_state():
    tx = optcore.optimizers.scale_by_adan(0.75, 0.5, 0.5)
    state = tx.init({"z": jnp.ones(2, jnp.complex64)})
    for g in (1 + 2j, 3 + 4j):
        _, state = tx.update({"z": jnp.full(2, g, jnp.complex64)}, state)
    assert state.count == 2
    np.testing.assert_array_equal(state.previous_gradient["z"], np.full(2, 3 + 4j))
    np.testing.assert_array_equal(state.mu_diff["z"], np.full(2, 1 + 1j))
    np.testing.assert_array_equal(state.nu["z"], np.full(2, (16 + 25) / 2 + 5 / 4))


@pytest.mark.parametrize("name", ["adan", "scale_by_adan"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
