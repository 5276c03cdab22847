"""Decoupled weight decay and its mask."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles

PARAMS = {"a": {"w": jnp.array([2.0, -4.0]), "b": jnp.array([6.0])}, "c": jnp.array([8.0])}
GRADS = {"a": {"w": jnp.array([1.0, 1.0]), "b": jnp.array([1.0])}, "c": jnp.array([1.0])}


@pytest.mark.parametrize(
    ("mask", "decayed"),
    [
        (None, "wbc"),
        ({"a": {"w": True, "b": False}, "c": True}, "wc"),
        ({"a": True, "c": False}, "wb"),
        ({"a": False, "c": True}, "c"),
        (False, ""),
        (lambda params: {"a": {k: v.size > 1 for k, v in params["a"].items()}, "c": False}, "w"),
    ],
    ids=["all", "tree", "prefix_kept", "prefix_left", "none", "function"],
)
def test_adds_a_part_of_the_parameters_that_the_mask_chooses(mask, decayed):
    tx = optcore.add_decayed_weights(0.25, mask)
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(u["a"]["w"], [1.5, 0.0] if "w" in decayed else [1.0, 1.0])
    np.testing.assert_array_equal(u["a"]["b"], [2.5] if "b" in decayed else [1.0])
    np.testing.assert_array_equal(u["c"], [3.0] if "c" in decayed else [1.0])


def test_complex_and_narrow_parameters():
    params = {"z": jnp.array([2 + 4j]), "h": jnp.array([4.0], jnp.bfloat16)}
    grads = {"z": jnp.array([1 - 1j]), "h": jnp.array([1.0], jnp.bfloat16)}
    tx = optcore.add_decayed_weights(0.3)
    u, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(u["z"], [1.6 + 0.2j], rtol=1e-6)
    np.testing.assert_allclose(u["h"], [2.2], rtol=1e-6)


def test_a_frozen_parameter_does_not_decay():
    tx = optcore.add_decayed_weights(0.25)
    u, _ = tx.update({**GRADS, "c": None}, tx.init(PARAMS), PARAMS)
    assert u["c"] is None
    np.testing.assert_array_equal(u["a"]["b"], [2.5])


def test_in_front_of_the_direction_it_is_the_gradient_of_the_penalty():
    """Decay in front of momentum is momentum on the gradient of loss + ½·decay·‖w‖²."""

    def penalised(w, grads, decay=0.4, rate=0.1, m=0.0):
        for g in grads:
            m = 0.9 * m + g + decay * w
            w = w - rate * m
            yield w

    tx = optcore.chain(optcore.add_decayed_weights(0.4), optcore.sgd(0.1, 0.9))
    oracles.agrees(tx, penalised)


def test_a_mask_of_another_tree_is_refused():
    tx = optcore.add_decayed_weights(0.1, mask={"a": True})
    with pytest.raises(ValueError, match="the mask must be a tree of booleans"):
        tx.update(GRADS, tx.init(PARAMS), PARAMS)


def test_it_needs_the_parameters():
    tx = optcore.add_decayed_weights(0.1)
    with pytest.raises(ValueError, match="add_decayed_weights needs the parameters"):
        tx.update(GRADS, tx.init(PARAMS))


def test_defaults():
    oracles.same_defaults(optcore.add_decayed_weights, optax.add_decayed_weights)
