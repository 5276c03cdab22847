"""The state of every transformation, in the hands of those that write and compare states."""

import functools
import io

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing
from tests.rules import for_each
from tests.subjects import TRANSFORMATIONS, subject

from . import load

KEY = jax.random.key(3)
OTHERS = {
    "dpsgd": lambda: optcore.dpsgd(0.1, 1.0, 0.5, KEY, momentum=0.9),
    "noisy_sgd": lambda: optcore.noisy_sgd(0.1, 0.01, 0.55, KEY),
    "stochastic_rounding": lambda: optcore.stochastic_rounding(optcore.adam(0.1), key=KEY),
    **{
        codec: lambda codec=codec: optcore.store(
            optcore.adam(0.1), codec, key=KEY if codec == "bf16" else None, min_size=1
        )
        for codec in ("bf16", "int8", "int8_softsign", "fp8", "int4")
    },
}
PARAMS = {"w": jnp.arange(6.0).reshape(2, 3), "none": None, "b": {"b": jnp.ones(3)}}


@functools.cache
def subjects():
    return {
        **{name: subject(name) for name in TRANSFORMATIONS},
        **{f"own_{name}": testing.Subject(name, make()) for name, make in OTHERS.items()},
    }


every_state = for_each(subjects)


def states(subject):
    """The first state, and another with which it could be confused."""
    state = subject.tx.init(PARAMS)
    return state, jax.tree.map(jnp.zeros_like, state)


@every_state
def test_flax_writes_and_reads_it(subject):
    serialization = load("flax.serialization")
    state, blank = states(subject)
    restored = serialization.from_bytes(blank, serialization.to_bytes(state))
    chex.assert_trees_all_equal(restored, state)
    chex.assert_trees_all_equal_dtypes(restored, state)


@every_state
def test_equinox_writes_and_reads_it(subject):
    eqx = load("equinox")
    state, blank = states(subject)
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, state)
    file.seek(0)
    restored = eqx.tree_deserialise_leaves(file, blank)
    chex.assert_trees_all_equal(restored, state)
    chex.assert_trees_all_equal_dtypes(restored, state)


@every_state
def test_numpy_and_chex_take_it(subject):
    state, _ = states(subject)
    copied = jax.tree.map(lambda x: jnp.asarray(np.array(x)), state)
    chex.assert_trees_all_close(copied, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(copied, state)


def drawn(tx, state):
    """What the second and the third step make of no gradient at parameters that must be rounded."""
    params, grads = jnp.full(64, 1.5, jnp.bfloat16), jnp.full(64, 1e-3)
    if "dp" in repr(tx):
        grads = grads[None]
    made = []
    for _ in range(2):
        updates, state = tx.update(grads, state, params)
        made.append(np.asarray(updates))
    return made, state


@pytest.mark.parametrize("name", ["dpsgd", "noisy_sgd", "stochastic_rounding", "bf16"])
@pytest.mark.sample(1)
def test_a_state_from_before_holds_a_typed_key_and_goes_on(name):
    tx = OTHERS[name]()
    state = tx.init(jnp.full(64, 1.5, jnp.bfloat16))

    def typed(path, x):
        return jax.random.wrap_key_data(x) if str(path[-1]) == ".key" else x

    before = jax.tree_util.tree_map_with_path(typed, state)
    assert any(jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in jax.tree.leaves(before))
    (expected, _), (got, after) = drawn(tx, state), drawn(tx, before)
    np.testing.assert_array_equal(got, expected)
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, before)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("name", ["rbg", "unsafe_rbg", "threefry2x32"])
def test_the_implementation_is_the_keys(name):
    """The bits are those that the typed key itself would give."""
    key = jax.random.key(3, impl=name)
    tx, params = optcore.add_noise(1.0, 0.0, key), {"w": jnp.zeros(5)}
    state = tx.init(params)
    assert state.key.dtype == np.uint32
    own = optcore.leaf_keys(key, jnp.int32(1), params)["w"]
    noise, _ = jax.jit(tx.update)(params, state)
    np.testing.assert_array_equal(noise["w"], jax.random.normal(own, (5,)))


def test_a_key_of_another_implementation_is_refused():
    state = optcore.add_noise(1.0, 0.0, jax.random.key(3)).init(jnp.zeros(2))
    tx = optcore.add_noise(1.0, 0.0, jax.random.key(3, impl="rbg"))
    with pytest.raises(ValueError, match=r"key.*\(2,\).*rbg.*\(4,\)"):
        tx.update(jnp.zeros(2), state)
