"""Quasi-hyperbolic momentum against arXiv 1810.06801, and its three corollaries."""

import functools

import jax.numpy as jnp
import pytest

import optcore
from tests import oracles


def qhm_1810_06801(w, grads, lr, decay, nu):
    """Equations 3 and 4."""
    buffer = 0 * w
    for g in grads:
        buffer = decay * buffer + (1 - decay) * g
        w = w - lr * ((1 - nu) * g + nu * buffer)
        yield w


@pytest.mark.parametrize(("decay", "nu"), [(0.6, 0.3), (0.95, 0.7), (0.8, 1.0), (0.8, 0.0)])
def test_qhm(decay, nu):
    oracle = functools.partial(qhm_1810_06801, lr=0.03, decay=decay, nu=nu)
    oracles.agrees(optcore.qhm(0.03, decay, nu), oracle)


def test_golden():
    tx = optcore.qhm(0.01, decay=0.0, nu=1.0)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/QHM{'lr': 0.01}")


@pytest.mark.parametrize(
    ("nu", "other"),
    [
        (0.8, optcore.sgd(0.1 * (1 - 0.8), 0.8, nesterov=True)),
        (1.0, optcore.sgd(0.1 * (1 - 0.8), 0.8)),
        (0.0, optcore.sgd(0.1)),
    ],
    ids=["nesterov", "momentum", "plain"],
)
def test_what_it_contains(nu, other):
    params, grads = oracles.start(), oracles.gradients(8)
    *_, got = oracles.run(optcore.qhm(0.1, 0.8, nu), params, grads)
    *_, expected = oracles.run(other, params, grads)
    oracles.close(got, expected, params)


def test_accumulator_dtype():
    tx = optcore.qhm(0.1, accumulator_dtype=jnp.bfloat16)
    assert tx.init(jnp.zeros(3))[0].mu.dtype == jnp.bfloat16


def test_defaults_are_the_papers():
    for factory in (optcore.qhm, optcore.optimizers.scale_by_qhm):
        defaults = oracles.defaults(factory)
        assert (defaults["decay"], defaults["nu"]) == (0.999, 0.7)


def test_the_weight_is_a_share():
    optcore.qhm(0.1, 0.9, 1.0)
    with pytest.raises(ValueError, match=r"nu must lie in \[0, 1\]"):
        optcore.qhm(0.1, 0.9, 1.1)
