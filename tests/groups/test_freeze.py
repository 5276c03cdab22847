"""Exact zeros for some parameters."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore

PARAMS = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
GRADS = {"a": jnp.array([jnp.nan, jnp.inf]), "b": jnp.array([3.0])}


@pytest.mark.parametrize("mask", [{"a": True, "b": False}, lambda tree: {"a": True, "b": False}])
def test_freezes_where_the_mask_is_true(mask):
    tx = optcore.freeze(mask)
    state = tx.init(PARAMS)
    updates, _ = tx.update(GRADS, state)
    np.testing.assert_array_equal(updates["a"], [0, 0])
    np.testing.assert_array_equal(updates["b"], [3])
    assert state == optcore.MaskedState(optcore.EmptyState())


@pytest.mark.parametrize("mask", [True, False, {"a": False, "b": True}])
def test_like_optax(mask):
    finite = {"a": jnp.ones(2), "b": jnp.ones(1)}
    for name in PARAMS:
        ours, theirs = (
            lib.freeze(mask).update(finite, lib.freeze(mask).init(PARAMS))[0][name]
            for lib in (optcore, optax)
        )
        np.testing.assert_array_equal(ours, theirs)


def test_last_in_a_chain_it_stops_decay():
    mask = {"a": True, "b": False}
    tx = optcore.chain(optcore.adamw(0.1, weight_decay=0.5), optcore.freeze(mask))
    updates, _ = tx.update({**GRADS, "a": jnp.zeros(2)}, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["a"], [0, 0])
    assert updates["b"][0] < -0.1


def test_in_front_of_an_optimizer_it_is_refused():
    with pytest.raises(ValueError, match=r"adamw stands behind freeze: .*use route"):
        optcore.chain(optcore.freeze({"a": True, "b": False}), optcore.adamw(0.1))
