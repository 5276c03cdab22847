"""MADGRAD against the box of arXiv 2101.11075, pytorch_optimizer and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def madgrad_2101_11075(w, grads, lr, momentum, eps, decay=0.0):
    """Algorithm 1 (with `c = 1 - momentum`) and the rate of the authors' code."""
    first, s, v = w, np.zeros_like(w), np.zeros(w.shape)
    for k, g in enumerate(grads):
        rate = lr(k) if callable(lr) else lr
        scaled = (rate + eps if rate else 0) * np.sqrt(k + 1)
        g = g + decay * w
        s = s + scaled * g
        v = v + scaled * np.abs(g) ** 2
        z = first - s / (np.cbrt(v) + eps)
        w = momentum * w + (1 - momentum) * z
        yield w


UNUSUAL = {
    "large_eps": {"momentum": 0.8, "eps": 0.3},
    "no_momentum": {"momentum": 0.0, "eps": 1e-3},
    "slow": {"momentum": 0.97, "eps": 1e-6},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_madgrad(options):
    oracle = functools.partial(madgrad_2101_11075, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.madgrad(0.03, weight_decay=0.7, **options), oracle)


def test_the_rate_of_each_step_stands_in_the_sums():
    options = UNUSUAL["large_eps"]
    oracle = functools.partial(madgrad_2101_11075, lr=lambda k: 0.1 * 0.8**k, **options)
    oracles.agrees(optcore.madgrad(optcore.exponential_decay(0.1, 1, 0.8), **options), oracle)


def test_golden():
    oracles.matches_golden(optcore.madgrad(0.01), "pytorch_optimizer-4.1.0/MADGRAD{'lr': 0.01}")


def test_optax():
    options = {"momentum": 0.7, "eps": 0.1, "weight_decay": 0.7}
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    ours = oracles.run(optcore.madgrad(0.1, **options), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        theirs = list(oracles.run(optax.contrib.madgrad(0.1, **options), params, grads))
    for got, want in zip(ours, theirs, strict=True):
        oracles.close(got, want, params)


def test_a_rate_of_zero_stays():
    """Although `eps` is added to the rate."""
    w = jnp.array([2.0, -3.0])
    tx = optcore.madgrad(0.0)
    step, _ = tx.update(jnp.ones(2), tx.init(w), w)
    np.testing.assert_array_equal(step, np.zeros(2))


def test_what_never_had_a_gradient_stays_where_it_started():
    w = jnp.array([2.0, -3.0])
    tx = optcore.madgrad(0.1, momentum=0.0, eps=0.0)
    step, _ = tx.update(jnp.array([0.0, 1.0]), tx.init(w), w)
    assert step[0] == 0
    assert step[1] < 0


def test_state():
    params = {"w": jnp.ones(2, jnp.bfloat16), "z": jnp.full(2, 1 + 2j, jnp.complex64), "n": 3}
    tx = optcore.madgrad(0.5, eps=0.0)
    state = tx.init(params)
    assert state.count == 0
    assert state.anchor["n"] is None
    assert jax.tree.map(lambda x: x.dtype.name, state.anchor) == {
        "w": "float32",
        "z": "complex64",
        "n": None,
    }
    g = {"w": jnp.ones(2), "z": jnp.full(2, 3 + 4j, jnp.complex64), "n": None}
    _, state = tx.update(g, state, params)
    assert state.count == 1
    np.testing.assert_array_equal(state.trace["z"], np.full(2, 1.5 + 2j))
    np.testing.assert_array_equal(state.nu["z"], np.full(2, 12.5))
    np.testing.assert_array_equal(state.anchor["z"], params["z"])


def test_defaults():
    oracles.same_defaults(optcore.madgrad, optax.contrib.madgrad)


def test_the_sum_of_squares_is_real():
    state = optcore.madgrad(0.1).init(jnp.ones(3, jnp.complex64))
    assert (state.trace.dtype, state.nu.dtype) == (jnp.complex64, jnp.float32)
