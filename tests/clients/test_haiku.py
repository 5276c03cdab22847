"""Haiku: parameters as nested dicts of modules, with a plain and with an immutable state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
import optcore.optax

hk = pytest.importorskip("haiku")


def net(x):
    hidden = jax.nn.relu(hk.Linear(4, name="hidden")(x))
    return hk.Linear(1, name="head")(hidden)[:, 0]


@pytest.fixture(autouse=True)
def _as_users_run_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def trained(tx, apply_updates, steps=20):
    model = hk.without_apply_rng(hk.transform(net))
    x = jax.random.normal(jax.random.key(0), (16, 3))
    y = x.sum(1)
    params = model.init(jax.random.key(1), x)

    def loss(params):
        return jnp.mean((model.apply(params, x) - y) ** 2)

    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return apply_updates(params, updates), state

    first, state = params, tx.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return first, params, float(loss(first)), float(loss(params))


def test_it_trains_as_with_optax():
    _, expected, _, _ = trained(optax.adam(0.05), optax.apply_updates)
    for tx in (optcore.adam(0.05), optcore.optax.adam(0.05)):
        _, params, before, after = trained(tx, optcore.apply_updates)
        assert after < 0.5 * before
        assert params.keys() == expected.keys() == {"hidden", "head"}
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-4), params, expected
        )


def test_a_module_is_frozen_by_its_path():
    tx = optcore.route(("hidden/*", optcore.FREEZE), ("*", optcore.adam(0.05)))
    first, params, before, after = trained(tx, optcore.apply_updates)
    assert after < before
    np.testing.assert_array_equal(params["hidden"]["w"], first["hidden"]["w"])
    assert not np.allclose(params["head"]["w"], first["head"]["w"])
