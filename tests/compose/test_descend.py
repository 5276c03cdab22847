"""A direction, a decay and a rate, in the order of nearly every optimizer."""

import jax
import numpy as np
import pytest

import optcore
from optcore.compose import descend
from tests import oracles

RATE, DECAY = 0.1, 0.03
MASKS = (None, lambda params: dict.fromkeys(params, False) | {"w": True})


def parts(*decay):
    return optcore.scale_by_adam(), *decay, optcore.scale_by_learning_rate(RATE)


CASES = [
    pytest.param(descend(optcore.scale_by_adam(), RATE), parts(), id="no decay"),
    *(
        pytest.param(
            descend(optcore.scale_by_adam(), RATE, DECAY, mask),
            parts(optcore.add_decayed_weights(DECAY, mask)),
            id="decay" if mask is None else "masked decay",
        )
        for mask in MASKS
    ),
]


@pytest.mark.parametrize(("tx", "links"), CASES)
def test_it_is_the_chain_that_it_stands_for(tx, links):
    """Every number, and every part of the state by its type and place."""
    runs = [
        list(oracles.run(either, oracles.start(), oracles.gradients(3)))
        for either in (tx, optcore.chain(*links))
    ]
    for ours, theirs in zip(*runs, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    state, expected = (either.init(oracles.start()) for either in (tx, optcore.chain(*links)))
    assert list(map(type, state)) == list(map(type, expected))
    assert jax.tree.structure(state) == jax.tree.structure(expected)


def test_a_decay_of_zero_has_its_place_in_the_state_and_none_has_not():
    w = oracles.start()
    assert len(descend(optcore.scale_by_adam(), RATE, 0.0).init(w)) == 3
    assert len(descend(optcore.scale_by_adam(), RATE).init(w)) == 2
