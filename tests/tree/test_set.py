"""A tree with other values, as optax sets them, but of the type that was there."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import optcore
from optcore import tree

PARAMS = {"w": jnp.ones(2), "b": jnp.ones(3)}
TX = optcore.named_chain(("clip", optcore.clip(1.0)), ("adam", optcore.adam(0.1)))
STATE = TX.init(PARAMS)


def test_it_is_optax():
    for filtering, values in [
        (None, {"count": jnp.int32(5)}),
        (None, {"mu": {"w": 1.0, "b": 2.0}, "count": jnp.int32(2)}),
        (None, {"ScaleByAdamState": optcore.EmptyState()}),
        (lambda path, value: "mu" in jax.tree_util.keystr(path), {"w": jnp.zeros(2)}),
    ]:
        got = tree.set(STATE, filtering, **values)
        expected = optax.tree_utils.tree_set(STATE, filtering, **values)
        assert jax.tree.structure(got) == jax.tree.structure(expected)
        chex.assert_trees_all_equal(got, expected)


def test_a_number_becomes_an_array_and_nothing_is_traced_again():
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(lambda s: TX.update(PARAMS, s, PARAMS), n=1))
    _, state = step(STATE)
    state = tree.set(state, count=100)
    assert state["adam"][0].count.dtype == jnp.int32
    _, state = step(state)
    assert int(tree.get(state, "count")) == 101


def test_what_is_there_is_not_changed():
    tree.set(STATE, count=100)
    assert int(tree.get(STATE, "count")) == 0
    untouched = tree.set(STATE, count=100)
    assert untouched["adam"][0].mu is STATE["adam"][0].mu


def test_all_places_of_a_name_are_set():
    both = optcore.graft(optcore.adam(0.1), optcore.adam(0.1))
    state = tree.set(both.init(PARAMS), count=3)
    assert [int(value) for _, value in tree.get_all_with_path(state, "count")] == [3, 3]


def test_a_missing_name_is_an_error_that_suggests():
    with pytest.raises(KeyError, match="no 'cuont' in the tree; did you mean 'count'"):
        tree.set(STATE, cuont=1)
    with pytest.raises(KeyError, match="no 'count' in the tree passes the filter"):
        tree.set(STATE, lambda path, value: False, count=1)


def test_an_integer_takes_no_fraction():
    tx = optcore.sgd(optcore.linear_schedule(1.0, 0.0, 10))
    state = tx.init(jnp.ones(2))
    assert optcore.tree.get(optcore.tree.set(state, count=5.0), "count") == 5
    with pytest.raises(ValueError, match=r"count is an integer of type int32, got 5\.7"):
        optcore.tree.set(state, count=5.7)
