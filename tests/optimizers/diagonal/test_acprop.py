"""ACProp against its box in arXiv 2110.05454, and against optax's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import optcore
from tests import oracles
from tests.named import named


def acprop_2110_05454(w, grads, lr, b1, b2, eps, eps_root, decay=0.0, previous_mean=False):
    """Algorithm 2, with the epsilons, correction and first step of the authors' code.

    optax, whose mean is the previous one, adds `eps` to the first root, which is 1.
    """
    m, s = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        begin = g / (1 + eps) if previous_mean else g
        u = begin if t == 1 else g / (np.sqrt(s / (1 - b2 ** (t - 1))) + eps)
        before, m = m, b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * np.abs(g - (before if previous_mean else m)) ** 2 + eps_root
        w = w - lr * (u + decay * w)
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "eps": 0.1, "eps_root": 0.0},
    "both": {"b1": 0.7, "b2": 0.6, "eps": 0.1, "eps_root": 0.2},
    "long": {"b1": 0.95, "b2": 0.9999, "eps": 1e-8, "eps_root": 1e-12},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
either = pytest.mark.parametrize("previous_mean", [False, True], ids=["paper", "optax"])


@unusual
@either
def test_acprop(options, previous_mean):
    oracle = functools.partial(
        acprop_2110_05454, lr=0.03, decay=0.7, previous_mean=previous_mean, **options
    )
    tx = optcore.acprop(0.03, weight_decay=0.7, previous_mean=previous_mean, **options)
    oracles.agrees(tx, oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(acprop_2110_05454, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_acprop(**options), oracle)


def test_optax():
    params, grads = oracles.start(), oracles.gradients(6)
    options = {**UNUSUAL["both"], "weight_decay": 0.3}
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.contrib.acprop(0.03, **options), params, grads)
    *_, got = oracles.run(optcore.acprop(0.03, **options, previous_mean=True), params, grads)
    oracles.close(got, expected, params)


def test_after_the_first_step_the_two_means_differ_by_the_first_decay():
    grads = jnp.asarray(np.random.default_rng(5).normal(size=(5, 8)))
    ours, theirs = (
        optcore.optimizers.scale_by_acprop(0.6, 0.9, 0.0, 0.0, previous_mean=previous)
        for previous in (False, True)
    )
    a, b = ours.init(grads[0]), theirs.init(grads[0])
    for t, g in enumerate(grads):
        u, a = ours.update(g, a)
        v, b = theirs.update(g, b)
        np.testing.assert_allclose(v, g if t == 0 else 0.6 * u, rtol=1e-5)


def test_the_divisor_does_not_know_the_gradient():
    """Asynchrony: at a given state the update is linear in the gradient."""
    tx = optcore.optimizers.scale_by_acprop(0.6, 0.9)
    _, state = tx.update(jnp.array([1.0, -2.0]), tx.init(jnp.zeros(2)))
    g = jnp.array([3.0, 0.5])
    once, _ = tx.update(g, state)
    thrice, _ = tx.update(1e4 * g, state)
    np.testing.assert_allclose(thrice, 1e4 * once, rtol=1e-6)


def test_acprop_decays_what_the_mask_says():
    tx = optcore.acprop(0.5, weight_decay=0.5, mask={"w": True, "z": False})
    params = {"w": jnp.ones(2), "z": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), params)
    np.testing.assert_array_equal(updates["w"], [-0.25, -0.25])
    np.testing.assert_array_equal(updates["z"], [0.0, 0.0])


def test_state():
    tx = optcore.optimizers.scale_by_acprop(0.75, 0.5, eps_root=0.25)
    g = {"z": jnp.array([3 + 4j])}
    state = tx.init(g)
    assert state.nu["z"].dtype == jnp.float32
    _, state = tx.update(g, state)
    assert state.count == 1
    np.testing.assert_array_equal(state.mu["z"], [0.75 + 1j])
    np.testing.assert_allclose(state.nu["z"], [0.5 * 25 * 0.75**2 + 0.25], rtol=1e-6)


@pytest.mark.parametrize("name", ["acprop", "scale_by_acprop"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax.contrib, name))
