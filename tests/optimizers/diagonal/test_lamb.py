"""LAMB against algorithm 2 of arXiv 1904.00962 and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def norm(x):
    return np.sqrt((np.abs(x) ** 2).sum())


def lamb_1904_00962(w, grads, lr, b1, b2, eps, eps_root=0.0, decay=0.0):
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        d = r + decay * w
        w = w - lr * norm(w) / norm(d) * d
        yield w


UNUSUAL = {
    "decay": {"b1": 0.8, "b2": 0.95, "eps": 0.1, "decay": 0.7},
    "both": {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3},
    "no_memory": {"b1": 0.0, "b2": 0.0, "eps": 0.2, "decay": 0.1},
}


@pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_lamb(options):
    oracle = functools.partial(lamb_1904_00962, lr=0.03, **options)
    arguments = {**options, "weight_decay": options.get("decay", 0.0)}
    arguments.pop("decay", None)
    oracles.agrees(optcore.lamb(0.03, **arguments), oracle)


def test_a_step_is_as_long_as_the_weights_times_the_rate():
    params, grads = oracles.start(), oracles.gradients(1)[0]
    tx = optcore.lamb(0.25, weight_decay=0.3)
    step, _ = tx.update(grads, tx.init(params), params)
    for name, w in params.items():
        assert norm(step[name]) == pytest.approx(0.25 * norm(w), rel=1e-5)


def test_the_mask_says_what_decays():
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([1.0, 2.0])}
    grads = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optcore.lamb(0.1, weight_decay=0.5, mask={"a": True, "b": False})
    step, _ = tx.update(grads, tx.init(params), params)
    for name, decay in (("a", 0.5), ("b", 0.0)):
        d = np.ones(2) + decay * np.array([1.0, 2.0])
        expected = -0.1 * np.sqrt(5) * d / norm(d)
        np.testing.assert_allclose(step[name], expected, rtol=1e-5)


def test_as_optax():
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    *_, got = oracles.run(optcore.lamb(0.1, weight_decay=0.3), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.lamb(0.1, weight_decay=0.3), params, grads)
    oracles.close(got, expected, params, 1e-5)  # optax's bias corrections cancel digits
    oracles.same_defaults(optcore.lamb, optax.lamb)
