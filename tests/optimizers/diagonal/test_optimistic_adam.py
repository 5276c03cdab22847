"""Optimistic Adam against algorithm 1 of arXiv 1711.00141 and optax."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def optimistic_adam_1711_00141(w, grads, lr, optimism, b1, b2, eps, eps_root=0.0, nesterov=False):
    """Algorithm 1, with both epsilons, another optimism than the rate, and Nesterov momentum."""
    m, v, before = np.zeros_like(w), np.zeros(w.shape), None
    for t, g in enumerate(grads, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * np.abs(g) ** 2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        r = m_hat / (np.sqrt(v_hat + eps_root) + eps)
        w = w - lr * r - optimism * (r - (r if before is None else before))
        before = r
        yield w


UNUSUAL = {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3}


@pytest.mark.parametrize("nesterov", [False, True])
def test_optimistic_adam(nesterov):
    options = {**UNUSUAL, "nesterov": nesterov}
    oracle = functools.partial(optimistic_adam_1711_00141, lr=0.03, **options)
    oracles.agrees(
        optcore.optimistic_adam(0.03, 0.2, **options), functools.partial(oracle, optimism=0.2)
    )
    oracles.agrees(
        optcore.optimistic_adam_v2(0.1, alpha=0.3, beta=2.0, **options),
        functools.partial(oracle, optimism=0.2),
    )


def test_the_optimism_is_the_rate_by_default():
    oracle = functools.partial(
        optimistic_adam_1711_00141, lr=0.05, optimism=0.05, nesterov=True, **UNUSUAL
    )
    oracles.agrees(optcore.optimistic_adam(0.05, **UNUSUAL), oracle)
    oracles.agrees(optcore.optimistic_adam_v2(0.05, **UNUSUAL), oracle)


def _like(theirs, ours):
    params, grads = oracles.start(), oracles.gradients(4)
    with jax.numpy_dtype_promotion("standard"):
        expected = list(oracles.run(theirs, params, grads))
    for a, b in zip(oracles.run(ours, params, grads), expected, strict=True):
        oracles.close(a, b, params, 1e-5)


def test_like_optax():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optax.optimistic_adam(0.1, 0.4, 0.8, 0.9)
    _like(theirs, optcore.optimistic_adam(0.1, 0.4, 0.8, 0.9))
    options = {"alpha": 0.5, "beta": 2.0, "b1": 0.8, "b2": 0.9}
    _like(optax.optimistic_adam_v2(0.1, **options), optcore.optimistic_adam_v2(0.1, **options))


@pytest.mark.parametrize("name", ["optimistic_adam", "optimistic_adam_v2"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


def test_the_rate_may_be_a_schedule():
    def falling(count):
        return 0.1 / (1 + jnp.float32(count))

    params, grads = oracles.start(), oracles.gradients(4)
    first = oracles.run(optcore.optimistic_adam(falling), params, grads)
    second = oracles.run(optcore.optimistic_adam_v2(falling), params, grads)
    for a, b in zip(first, second, strict=True):
        oracles.close(a, b, params)


def test_mu_dtype():
    for factory in (optcore.optimistic_adam, optcore.optimistic_adam_v2):
        assert factory(0.1, mu_dtype=jnp.bfloat16).init(jnp.zeros(2))[0].mu.dtype == jnp.bfloat16
