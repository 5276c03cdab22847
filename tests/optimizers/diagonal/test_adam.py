"""Adam against torch and the box of arXiv 1412.6980, and what follows from the equations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def adam_1412_6980(w, grads, lr, b1, b2, eps, eps_root=0.0, decay=0.0, nesterov=False):
    """Algorithm 1, with both epsilons, decoupled decay (1711.05101) and Dozat's look ahead."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        w = w - lr * (m_hat / (np.sqrt(v_hat + eps_root) + eps) + decay * w)
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "eps": 0.1},
    "both": {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3},
    "no_first_moment": {"b1": 0.0, "b2": 0.6, "eps": 1e-3},
    "no_memory": {"b1": 0.0, "b2": 0.0, "eps": 0.2},
    "long": {"b1": 0.99, "b2": 0.9999, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
either = pytest.mark.parametrize("nesterov", [False, True], ids=["plain", "nesterov"])


@unusual
@either
def test_adam(options, nesterov):
    oracle = functools.partial(adam_1412_6980, lr=0.03, nesterov=nesterov, **options)
    oracles.agrees(optcore.adam(0.03, nesterov=nesterov, **options), oracle)


@either
def test_adamw(nesterov):
    options = {**UNUSUAL["both"], "nesterov": nesterov}
    oracle = functools.partial(adam_1412_6980, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.adamw(0.03, weight_decay=0.7, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(adam_1412_6980, lr=-1, **options)
    oracles.agrees(optcore.scale_by_adam(**options), oracle)


def test_adamw_decays_what_the_mask_says():
    params, grads = oracles.start(), oracles.gradients()
    tx = optcore.adamw(0.03, weight_decay=0.7, mask={"w": True, "z": False})
    *_, got = oracles.run(tx, params, grads)
    expected = {
        name: list(
            adam_1412_6980(
                oracles.double(params[name]), [g[name] for g in grads], 0.03, 0.9, 0.999, 1e-8,
                decay=decay,
            )
        )[-1]
        for name, decay in (("w", 0.7), ("z", 0.0))
    }  # fmt: skip
    oracles.close(got, expected, params)


@pytest.mark.parametrize(
    ("key", "tx"),
    [
        ("torch.optim/Adam(lr=.01)", optcore.adam(0.01)),
        ("torch.optim/AdamW(lr=.01,wd=.1)", optcore.adamw(0.01, weight_decay=0.1)),
        ("heavyball-3.2.1/AdamW{'lr': 0.01}", optcore.adam(0.01, b2=0.99)),
    ],
)
def test_golden(key, tx):
    oracles.matches_golden(tx, key)


@either
def test_scaling_all_gradients_changes_nothing(nesterov):
    tx = optcore.adam(0.1, eps=0.0, nesterov=nesterov)
    params, grads = oracles.start(), oracles.gradients(5)
    # A power of two changes no rounding, so that the equality is exact.
    larger = [{name: 1024 * x for name, x in g.items()} for g in grads]
    for a, b in zip(oracles.run(tx, params, grads), oracles.run(tx, params, larger), strict=True):
        for name in params:
            np.testing.assert_array_equal(a[name], b[name])


def test_the_first_step_has_the_length_of_the_rate():
    g = jnp.array([1e-3, -1.0, 1e4, -1e9])
    for tx in (optcore.adam(0.25), optcore.adamw(0.25)):
        step, _ = tx.update(g, tx.init(g), jnp.zeros(4))
        np.testing.assert_allclose(step, -0.25 * np.sign(g), rtol=2e-5)


def test_state():
    params = {"w": jnp.ones(2, jnp.bfloat16), "z": jnp.ones(3, jnp.complex64), "n": jnp.int32(1)}
    tx = optcore.scale_by_adam(0.75, 0.5)
    state = tx.init(params)
    assert state.count.dtype == jnp.int32
    assert state.count == 0
    assert jax.tree.map(lambda x: x.dtype, state.mu) == {
        "w": jnp.float32,
        "z": jnp.complex64,
        "n": None,
    }
    assert jax.tree.map(lambda x: x.dtype, state.nu) == {
        "w": jnp.float32,
        "z": jnp.float32,
        "n": None,
    }
    g = {"w": jnp.full(2, 2.0, jnp.bfloat16), "z": jnp.full(3, 3 + 4j, jnp.complex64), "n": None}
    _, state = tx.update(g, state)
    assert state.count == 1
    np.testing.assert_array_equal(state.mu["z"], np.full(3, 0.75 + 1j))
    np.testing.assert_array_equal(state.nu["z"], np.full(3, 12.5))
    np.testing.assert_array_equal(state.mu["w"], np.full(2, 0.5))
    np.testing.assert_array_equal(state.nu["w"], np.full(2, 2.0))


@pytest.mark.parametrize("factory", [optcore.adam, optcore.adamw])
def test_mu_dtype(factory):
    w, g = jnp.zeros(3), jnp.array([1.001, -3.0, 0.3])
    tx = factory(0.1, mu_dtype=jnp.bfloat16)
    steps, state = tx.update(g, tx.init(w), w)
    adam = state[0]
    assert adam.mu.dtype == jnp.bfloat16
    assert adam.nu.dtype == jnp.float32
    # The update is computed before the moment is rounded.
    np.testing.assert_allclose(steps, -0.1 * np.sign(g), rtol=1e-6)
    # bfloat16 keeps 8 bits: what is rounded after the first step shows in the second.
    steps, _ = tx.update(g, state, w)
    exact = factory(0.1)
    expected, _ = exact.update(g, exact.update(g, exact.init(w), w)[1], w)
    off = np.abs(np.asarray(steps) / np.asarray(expected) - 1).max()
    assert 1e-5 < off < 2**-8


@pytest.mark.parametrize("name", ["adam", "adamw", "scale_by_adam"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
