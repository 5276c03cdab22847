"""Grams against pytorch_optimizer and the box of arXiv 2412.17107."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def grams_2412_17107(w, grads, lr, b1, b2, eps, eps_root=0.0, decay=0.0):
    """Algorithm 1, with an epsilon inside the root and decoupled decay; sign(g) = g/|g|."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        w = w - lr * (g / np.abs(g) * np.abs(u) + decay * w)
        yield w


@pytest.mark.parametrize(
    "options",
    [
        {"b1": 0.8, "b2": 0.95, "eps": 0.1},
        {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3},
        {"b1": 0.99, "b2": 0.9999, "eps": 1e-8},
    ],
    ids=["outside", "both", "long"],
)
def test_grams(options):
    oracle = functools.partial(grams_2412_17107, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.grams(0.03, weight_decay=0.7, **options), oracle)
    oracle = functools.partial(grams_2412_17107, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_grams(**options), oracle)


def test_golden():
    oracles.matches_golden(optcore.grams(0.01), "pytorch_optimizer-4.1.0/Grams{'lr': 0.01}")


def test_the_magnitude_is_that_of_adam():
    params, options = oracles.start(), {"b1": 0.8, "b2": 0.95, "eps": 0.1, "eps_root": 0.2}
    grams, adam = optcore.optimizers.scale_by_grams(**options), optcore.scale_by_adam(**options)
    state, adam_state = grams.init(params), adam.init(params)
    for g in oracles.gradients(4):
        u, state = grams.update(g, state)
        expected, adam_state = adam.update(g, adam_state)
        for name in params:
            np.testing.assert_allclose(np.abs(u[name]), np.abs(expected[name]), rtol=2e-6)
            assert ((u[name] * np.conj(g[name])).real > 0).all()


def test_what_the_mask_leaves_out_does_not_decay():
    tx = optcore.grams(0.1, weight_decay=0.5, mask={"a": True, "b": False})
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    u, _ = tx.update({"a": jnp.zeros(2), "b": jnp.zeros(2)}, tx.init(params), params)
    np.testing.assert_allclose(u["a"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(u["b"], 0.0)


def test_mu_dtype():
    params = jnp.zeros(2)
    assert (
        optcore.optimizers.scale_by_grams(mu_dtype=jnp.bfloat16).init(params).mu.dtype
        == jnp.bfloat16
    )
    assert optcore.grams(0.1, mu_dtype=jnp.bfloat16).init(params)[0].mu.dtype == jnp.bfloat16


def test_defaults():
    """The authors', without decay."""
    authors = {"b1": 0.9, "b2": 0.999, "eps": 1e-6, "eps_root": 0.0, "mu_dtype": None}
    assert oracles.defaults(optcore.optimizers.scale_by_grams) == authors
    assert oracles.defaults(optcore.grams) == {**authors, "weight_decay": 0.0, "mask": None}


def test_state():
    """The signs of the moments do not show in the magnitude."""
    tx = optcore.optimizers.scale_by_grams(0.75, 0.5)
    g = jnp.array([2.0, -4.0])
    _, state = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(state.mu, [0.5, -1.0])
    np.testing.assert_array_equal(state.nu, [2.0, 8.0])
    assert tx.init(jnp.zeros(2, jnp.complex64)).nu.dtype == jnp.float32
