"""Adadelta against torch and the box of arXiv 1212.5701."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def adadelta_1212_5701(w, grads, lr, rho, eps, penalty=0.0):
    """Algorithm 1, with a rate and an L2 penalty."""
    v, x = np.zeros(w.shape), np.zeros(w.shape)
    for g in grads:
        g = g + penalty * w
        v = rho * v + (1 - rho) * np.abs(g) ** 2
        u = np.sqrt(x + eps) / np.sqrt(v + eps) * g
        x = rho * x + (1 - rho) * np.abs(u) ** 2
        w = w - lr * u
        yield w


UNUSUAL = {
    "short": {"rho": 0.5, "eps": 0.1},
    "long": {"rho": 0.99, "eps": 1e-3},
    "no_memory": {"rho": 0.0, "eps": 0.3},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_adadelta(options):
    oracle = functools.partial(adadelta_1212_5701, lr=0.3, penalty=0.2, **options)
    oracles.agrees(optcore.adadelta(0.3, weight_decay=0.2, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["short"]
    oracle = functools.partial(adadelta_1212_5701, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_adadelta(**options), oracle)


def test_golden():
    # The first steps are short, and the stored float32 positions round to 1.6e-5 of them.
    oracles.matches_golden(optcore.adadelta(), "torch.optim/Adadelta(lr=1)", tolerance=2e-5)


def test_optax():
    params = {"w": oracles.start()["w"]}
    grads = [{"w": g["w"]} for g in oracles.gradients(6)]
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.adadelta(0.3, 0.5, 0.1, 0.2), params, grads)
    *_, got = oracles.run(optcore.adadelta(0.3, 0.5, 0.1, 0.2), params, grads)
    oracles.close(got, expected, params)


def test_the_penalty_follows_the_mask():
    tx = optcore.adadelta(weight_decay=0.5, weight_decay_mask={"w": True, "z": False})
    params = {"w": jnp.ones(2), "z": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), params)
    assert (updates["w"] < 0).all()
    np.testing.assert_array_equal(updates["z"], [0.0, 0.0])


def test_the_update_has_the_unit_of_the_parameters():
    """Section 3.2: without epsilon's part, scaling all gradients changes nothing."""
    grads = np.random.default_rng(4).normal(size=(6, 8)) + 2
    tx = optcore.optimizers.scale_by_adadelta(0.5, 1e-20)
    a, b = tx.init(jnp.zeros(8)), tx.init(jnp.zeros(8))
    for g in grads:
        u, a = tx.update(jnp.asarray(g), a)
        v, b = tx.update(jnp.asarray(1024 * g), b)
        np.testing.assert_allclose(v, u, rtol=1e-6)
        assert (u * g > 0).all()


def test_without_epsilon_nothing_ever_moves():
    tx = optcore.optimizers.scale_by_adadelta(0.5, 0.0)
    g = jnp.array([0.0, 3.0])
    u, _ = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(u, [0.0, 0.0])
    assert np.isfinite(jax.jacobian(lambda g: tx.update(g, tx.init(g))[0])(g)).all()


def test_state():
    tx = optcore.optimizers.scale_by_adadelta(0.75, 1.0)
    g = {"z": jnp.array([3 + 4j])}
    state = tx.init(g)
    assert state.nu["z"].dtype == state.e_x["z"].dtype == jnp.float32
    _, state = tx.update(g, state)
    np.testing.assert_array_equal(state.nu["z"], [6.25])
    np.testing.assert_allclose(state.e_x["z"], [0.25 * 25 / 7.25], rtol=1e-6)


def test_defaults():
    oracles.same_defaults(optcore.optimizers.scale_by_adadelta, optax.scale_by_adadelta)
    ours, theirs = oracles.defaults(optcore.adadelta), oracles.defaults(optax.adadelta)
    # The paper's rate; with optax's None the sign is missing too, and the loss grows.
    assert (ours.pop("learning_rate"), theirs.pop("learning_rate")) == (1.0, None)
    assert ours == theirs
