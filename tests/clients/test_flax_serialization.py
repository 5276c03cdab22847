"""Optimizer states as flax's bytes."""

import pytest

import optcore

from . import assert_same, both_kinds, descend, load, resumable, start

serialization = load("flax.serialization")


@both_kinds
def test_a_restored_run_continues_bit_for_bit(kind):
    tx, params = resumable(kind), start()
    half = descend(tx, params, tx.init(params), 4)
    data = serialization.to_bytes(half)
    restored = serialization.from_bytes((start(), tx.init(start())), data)
    assert_same(restored, half)
    assert_same(descend(tx, *restored, 4), descend(tx, params, tx.init(params), 8))


def test_bytes_of_another_optimizer_are_refused():
    data = serialization.to_bytes(optcore.adam(0.1).init(start()))
    with pytest.raises(ValueError, match=r"do not match|unknown|names"):
        serialization.from_bytes(optcore.sgd(0.1, momentum=0.9).init(start()), data)
