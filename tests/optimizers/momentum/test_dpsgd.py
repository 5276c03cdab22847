"""Differentially private descent against its stages, and optax without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import optcore
from tests import oracles

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


def dpsgd_1607_00133(params, batches, lr, clip, momentum=0.0):
    """Algorithm 1 without noise, over whole trees; with heavy-ball momentum."""
    w, v = dict(params), dict.fromkeys(params, 0.0)
    for grads in batches:
        squares = {k: (np.abs(g) ** 2).reshape(len(g), -1).sum(1) for k, g in grads.items()}
        factors = 1 / np.maximum(1, np.sqrt(sum(squares.values())) / clip)
        for name, g in grads.items():
            v[name] = momentum * v[name] + np.tensordot(factors, g, 1) / len(g)
            w[name] = w[name] - lr * v[name]
        yield dict(w)


@pytest.mark.parametrize("momentum", [None, 0.8])
def test_dpsgd(momentum):
    tx = optcore.dpsgd(0.3, 2.5, 0.0, KEY, momentum=momentum)
    sizes = [np.sqrt(sum((g[0] ** 2).sum() for g in batch.values())) for batch in batches()]
    assert min(sizes) < 2.5 < max(sizes)
    expected = dpsgd_1607_00133(
        oracles.double(PARAMS), map(oracles.double, batches()), 0.3, 2.5, momentum or 0.0
    )
    for got, want in zip(oracles.run(tx, PARAMS, batches()), expected, strict=True):
        oracles.close(got, want, PARAMS)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.8}, {"momentum": 0.8, "nesterov": True}])
@pytest.mark.sample(1)
def test_like_optax_without_noise(options):
    ours = optcore.dpsgd(0.3, 0.7, 0.0, KEY, **options)
    with pytest.warns(DeprecationWarning, match="seed"):
        theirs = optax.contrib.dpsgd(0.3, 0.7, 0.0, 0, **options)
    for got, expected in zip(steps(ours), steps(theirs), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
                     got, expected)  # fmt: skip


@pytest.mark.slow
def test_the_noise_goes_through_the_momentum():
    options = {"momentum": 0.8}
    loud = steps(optcore.dpsgd(0.3, 0.7, 2.0, KEY, **options))
    quiet = steps(optcore.dpsgd(0.3, 0.7, 0.0, KEY, **options))
    noise = optcore.transforms.differentially_private_aggregate(0.7, 2.0, KEY)
    state, velocity = noise.init(PARAMS), jax.tree.map(jnp.zeros_like, PARAMS)
    for a, b, grads in zip(loud, quiet, batches(), strict=True):
        zeros = jax.tree.map(jnp.zeros_like, grads)
        drawn, state = noise.update(zeros, state, PARAMS)
        velocity = jax.tree.map(lambda v, n: 0.8 * v + n, velocity, drawn)
        jax.tree.map(
            lambda x, y, v: np.testing.assert_allclose(x - y, -0.3 * v, rtol=1e-4, atol=1e-6),
            a, b, velocity,
        )  # fmt: skip
