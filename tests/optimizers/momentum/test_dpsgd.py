"""Differentially private descent against its stages, and optax without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import optcore

KEY = jax.random.key(3)
PARAMS = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}


def batches(steps=4):
    rng = np.random.default_rng(0)
    for _ in range(steps):
        yield {
            "w": rng.normal(size=(5, 2, 3)).astype(np.float32),
            "b": rng.normal(size=(5, 3)).astype(np.float32),
        }


def steps(tx):
    state = tx.init(PARAMS)
    for grads in batches():
        updates, state = tx.update(grads, state, PARAMS)
        yield updates


@pytest.mark.parametrize("options", [{}, {"momentum": 0.8}, {"momentum": 0.8, "nesterov": True}])
def test_like_optax_without_noise(options):
    ours = optcore.dpsgd(0.3, 0.7, 0.0, KEY, **options)
    with pytest.warns(DeprecationWarning, match="seed"):
        theirs = optax.contrib.dpsgd(0.3, 0.7, 0.0, 0, **options)
    for got, expected in zip(steps(ours), steps(theirs), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
                     got, expected)  # fmt: skip


def test_the_noise_goes_through_the_momentum():
    options = {"momentum": 0.8}
    loud = steps(optcore.dpsgd(0.3, 0.7, 2.0, KEY, **options))
    quiet = steps(optcore.dpsgd(0.3, 0.7, 0.0, KEY, **options))
    noise = optcore.differentially_private_aggregate(0.7, 2.0, KEY)
    state, velocity = noise.init(PARAMS), jax.tree.map(jnp.zeros_like, PARAMS)
    for a, b, grads in zip(loud, quiet, batches(), strict=True):
        zeros = jax.tree.map(jnp.zeros_like, grads)
        drawn, state = noise.update(zeros, state, PARAMS)
        velocity = jax.tree.map(lambda v, n: 0.8 * v + n, velocity, drawn)
        jax.tree.map(
            lambda x, y, v: np.testing.assert_allclose(x - y, -0.3 * v, rtol=1e-4, atol=1e-6),
            a, b, velocity,
        )  # fmt: skip
