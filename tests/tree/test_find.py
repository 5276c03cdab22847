"""The one state of a type."""

import jax
import jax.numpy as jnp
import optax
import pytest

import optcore
from optcore import tree

PARAMS = {"w": jnp.zeros(2)}


def test_a_state_is_found_wherever_it_stands():
    adam = optcore.adam(0.1)
    for tx in (
        adam,
        optcore.chain(optcore.clip(1.0), optcore.chain(adam)),
        optcore.named_chain(("clip", optcore.clip(1.0)), ("adam", adam)),
        optcore.inject(optcore.adam(optcore.linear_schedule(0.1, 0.0, 3))),
        optcore.skip_on_spike(optcore.switch([optcore.sgd(0.1, 0.9), adam], [2])),
        optax.chain(optax.clip(1.0), adam),
    ):
        found = tree.find(tx.init(PARAMS), optcore.optimizers.ScaleByAdamState)
        assert type(found) is optcore.optimizers.ScaleByAdamState
        assert found.mu["w"].shape == (2,)
    state = optax.chain(optax.clip(1.0), optax.adam(0.1)).init(PARAMS)
    assert tree.find(state, optax.ScaleByAdamState) is state[1][0]


def test_adding_a_clip_moves_nothing():
    shapes = [
        jax.tree.structure(tree.find(tx.init(PARAMS), optcore.transforms.TraceState))
        for tx in (
            optcore.chain(optcore.trace(0.9)),
            optcore.chain(optcore.clip(1.0), optcore.trace(0.9)),
        )
    ]
    assert shapes[0] == shapes[1]


def test_none_and_several_are_errors_with_paths():
    tx = optcore.graft(optcore.sgd(0.1, 0.9), optcore.adam(0.1))
    with pytest.raises(KeyError, match=r"no ScaleByLionState; there are: GraftState at \(the tr"):
        tree.find(tx.init(PARAMS), optcore.optimizers.ScaleByLionState)
    with pytest.raises(KeyError, match=r"ScaleByAdamState at inner\.1\.0"):
        tree.find(tx.init(PARAMS), optcore.optimizers.ScaleByLionState)
    twice = optcore.graft(optcore.adam(0.1), optcore.adam(0.1))
    with pytest.raises(KeyError, match=r"in several places: inner\.0\.0, inner\.1\.0"):
        tree.find(twice.init(PARAMS), optcore.optimizers.ScaleByAdamState)
    with pytest.raises(TypeError, match="expected a class of states, got 'ScaleByAdamState'"):
        tree.find(twice.init(PARAMS), "ScaleByAdamState")


def test_it_is_at_the_top_too():
    assert optcore.tree.find is tree.find
