"""Typed keys: as arguments, as values, and one for each leaf."""

import json

import jax
import jax.numpy as jnp
import pytest

import optcore
from optcore._core import leaf_keys

KEY = jax.random.key(3)


def test_a_key_for_every_leaf_from_key_step_and_path():
    tree = {"a": jnp.zeros(2), "b": {"a": jnp.zeros(3), "none": None}}
    drawn = [
        tuple(jax.random.key_data(k).tolist())
        for key in (KEY, jax.random.key(4))
        for step in (1, 2)
        for k in jax.tree.leaves(leaf_keys(key, jnp.int32(step), tree))
    ]
    assert len(set(drawn)) == 8
    alone = leaf_keys(KEY, jnp.int32(1), {"b": {"a": None, "z": jnp.zeros(1)}, "a": jnp.ones(3)})
    assert alone["a"] == leaf_keys(KEY, jnp.int32(1), tree)["a"]


def test_the_derivation_does_not_change():
    """Runs can be repeated with later versions."""
    assert jax.random.key_data(leaf_keys(KEY, jnp.int32(1), {"a": 0})["a"]).tolist() == [
        2848095632,
        215025230,
    ]


def test_keys_of_other_kinds_differ():
    words = jnp.uint32([0, 0, 0, 3])
    first = optcore.add_noise(0.1, 0.5, jax.random.wrap_key_data(words, impl="rbg"))
    second = optcore.add_noise(0.1, 0.5, jax.random.wrap_key_data(words, impl="unsafe_rbg"))
    assert first != second
    for tx in (first, second):
        restored = optcore.from_config(json.loads(json.dumps(optcore.to_config(tx))))
        assert restored == tx
        assert restored.arguments["key"].dtype == tx.arguments["key"].dtype


def test_a_key_cannot_be_a_hyperparameter():
    with pytest.raises(TypeError, match="must be a real number"):
        optcore.sgd(KEY)


def test_inside_jit_what_holds_a_key_is_the_same_value():
    tx = optcore.chain(optcore.add_noise(0.1, 0.5, KEY), optcore.scale(-1.0))
    outside = repr(tx), hash(tx), optcore.to_config(tx)

    def traced(x):
        assert (repr(tx), hash(tx), optcore.to_config(tx)) == outside
        assert tx == tx.replace()
        restored = optcore.from_config(optcore.to_config(tx))
        assert restored == tx
        made.append(restored)
        return x

    made = []
    jax.jit(traced)(jnp.zeros(2))
    assert (repr(made[0]), hash(made[0])) == outside[:2]
    jax.vmap(traced)(jnp.zeros(2))
