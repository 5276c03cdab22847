"""Noisy descent: descent plus the noise, times the rate."""

import jax
import numpy as np
import optax
import pytest

import optcore
from tests import oracles

KEY = jax.random.key(5)


def test_noisy_sgd():
    """The noise itself is that of `add_noise`, whose test knows its distribution."""
    params, grads = oracles.start(), oracles.gradients(4)
    noise = optcore.add_noise(0.3, 0.7, KEY)
    state = noise.init(params)
    expected = oracles.double(params)
    for g, got in zip(
        grads, oracles.run(optcore.noisy_sgd(0.1, 0.3, 0.7, KEY), params, grads), strict=True
    ):
        u, state = noise.update(g, state)
        expected = jax.tree.map(lambda w, u: w - 0.1 * u, expected, oracles.double(u))
        oracles.close(got, expected, params)
    *_, plain = oracles.run(optcore.sgd(0.1), params, grads)
    assert np.abs(plain["w"] - got["w"]).max() > 0.01


def test_value():
    tx = optcore.noisy_sgd(0.1, key=KEY)
    assert tx == optcore.noisy_sgd(0.1, key=jax.random.key(5))
    assert tx != optcore.noisy_sgd(0.1, key=jax.random.key(6))
    assert repr(tx) == "noisy_sgd(learning_rate=0.1, key=<threefry2x32 key 0 5>)"


def test_defaults():
    with pytest.raises(TypeError, match="noisy_sgd: key is required"):
        optcore.noisy_sgd(0.1)
    ours, theirs = (oracles.defaults(f.noisy_sgd) for f in (optcore, optax))
    assert {name: theirs[name] for name in ours} == ours
