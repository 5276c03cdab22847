"""Aggregated momentum against pytorch_optimizer and equation 2 of arXiv 1804.00325."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def aggmo_1804_00325(w, grads, lr, betas):
    v = [np.zeros_like(w) for _ in betas]
    for g in grads:
        v = [b * v_i - g for b, v_i in zip(betas, v, strict=True)]
        w = w + lr / len(betas) * sum(v)
        yield w


@pytest.mark.parametrize("betas", [(0.3, 0.8), (0.9, 0.0, 0.5, 0.95), (0.7,)])
def test_aggmo(betas):
    oracle = functools.partial(aggmo_1804_00325, lr=0.03, betas=betas)
    oracles.agrees(optcore.aggmo(0.03, betas), oracle)


def test_golden():
    oracles.matches_golden(optcore.aggmo(0.01), "pytorch_optimizer-4.1.0/AggMo{'lr': 0.01}")


def test_with_one_decay_it_is_momentum():
    params, grads = oracles.start(), oracles.gradients(8)
    *_, got = oracles.run(optcore.aggmo(0.1, [0.8]), params, grads)
    *_, expected = oracles.run(optcore.sgd(0.1, 0.8), params, grads)
    oracles.close(got, expected, params)


def test_one_sum_per_decay():
    tx = optcore.optimizers.scale_by_aggmo((0.0, 0.5), jnp.bfloat16)
    g = jnp.array([1.0, -2.0])
    state = tx.init(g)
    for _ in range(2):
        u, state = tx.update(g, state)
    np.testing.assert_array_equal(u, 1.25 * g)
    assert [v.dtype for v in state.trace] == [jnp.bfloat16] * 2
    np.testing.assert_array_equal(state.trace[0], g)
    np.testing.assert_array_equal(state.trace[1], 1.5 * g)


def test_decays():
    with pytest.raises(ValueError, match="at least one decay"):
        optcore.aggmo(0.1, ())
    with pytest.raises(ValueError, match="betas must lie in"):
        optcore.aggmo(0.1, (0.5, 1.5))
    assert oracles.defaults(optcore.aggmo)["betas"] == (0.0, 0.9, 0.99)


def test_defaults():
    """The paper's `1 - 0.1^i`, three of them."""
    expected = {"betas": (0.0, 0.9, 0.99), "accumulator_dtype": None}
    assert oracles.defaults(optcore.optimizers.scale_by_aggmo) == expected
    assert oracles.defaults(optcore.aggmo) == expected
