"""NovoGrad against the box of arXiv 1905.11286, pytorch_optimizer and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def novograd_1905_11286(w, grads, lr, b1, b2, eps, eps_root=0.0, decay=0.0):
    """Algorithm 1, with both epsilons also in the first step."""
    v = m = None
    for g in grads:
        square = (np.abs(g) ** 2).sum()
        v = square if v is None else b2 * v + (1 - b2) * square
        scaled = g / (np.sqrt(v + eps_root) + eps) + decay * w
        m = scaled if m is None else b1 * m + scaled
        w = w - lr * m
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.6, "eps": 0.5},
    "both": {"b1": 0.3, "b2": 0.9, "eps": 0.1, "eps_root": 3.0},
    "no_memory": {"b1": 0.0, "b2": 0.0, "eps": 1e-3},
    "paper": {"b1": 0.95, "b2": 0.98, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_novograd(options):
    oracle = functools.partial(novograd_1905_11286, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.novograd(0.03, weight_decay=0.7, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(novograd_1905_11286, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_novograd(**options), oracle)


def test_golden():
    tx = optcore.novograd(0.01, 0.95, 0.98, 1e-8)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/NovoGrad{'lr': 0.01}")


def test_optax():
    options = {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3, "weight_decay": 0.7}
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    ours = oracles.run(optcore.novograd(0.1, **options), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        theirs = list(oracles.run(optax.novograd(0.1, **options), params, grads))
    for got, want in zip(ours, theirs, strict=True):
        oracles.close(got, want, params)


def test_scaling_the_gradients_of_a_leaf_changes_nothing():
    params, grads = oracles.start(), oracles.gradients(5)
    tx = optcore.novograd(0.1, eps=0.0)
    # A power of two changes no rounding, so that the equality is exact.
    larger = [{"w": 1024 * g["w"], "z": g["z"] / 8} for g in grads]
    for a, b in zip(oracles.run(tx, params, grads), oracles.run(tx, params, larger), strict=True):
        for name in params:
            np.testing.assert_array_equal(a[name], b[name])


def test_one_number_per_leaf():
    params = {"w": jnp.ones((2, 3), jnp.bfloat16), "z": jnp.ones(2, jnp.complex64), "n": 1}
    tx = optcore.optimizers.scale_by_novograd(b2=0.5)
    state = tx.init(params)
    assert jax.tree.map(lambda v: (v.shape, v.dtype.name), state.nu) == {
        "w": ((), "float32"),
        "z": ((), "float32"),
        "n": None,
    }
    g = {"w": jnp.ones((2, 3)), "z": jnp.full(2, 3 + 4j, jnp.complex64), "n": None}
    for square in (1, 4):
        _, state = tx.update(jax.tree.map(lambda x, s=square: s**0.5 * x, g), state, params)
    assert state.nu["w"] == 6 * 2.5
    assert state.nu["z"] == 50 * 2.5
    assert state.count == 2


def test_a_leaf_without_gradients_stays():
    w = jnp.ones(3)
    tx = optcore.novograd(0.1, eps=0.0)
    step, _ = tx.update(jnp.zeros(3), tx.init(w), w)
    np.testing.assert_array_equal(step, np.zeros(3))


def test_mu_dtype():
    state = optcore.optimizers.scale_by_novograd(mu_dtype=jnp.bfloat16).init(jnp.ones(2))
    assert (state.mu.dtype, state.nu.dtype) == (jnp.bfloat16, jnp.float32)


@pytest.mark.parametrize("name", ["novograd", "scale_by_novograd"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
