"""Optimizer states in orbax checkpoints."""

import jax

from . import assert_same, both_kinds, descend, load, resumable, start

ocp = load("orbax.checkpoint")


@both_kinds
def test_a_restored_run_continues_bit_for_bit(kind, tmp_path):
    tx, params = resumable(kind), start()
    half = descend(tx, params, tx.init(params), 4)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "half", half)
        checkpointer.wait_until_finished()
        abstract = jax.eval_shape(lambda: (start(), tx.init(start())))
        restored = checkpointer.restore(tmp_path / "half", abstract)
    assert_same(restored, half)
    assert_same(descend(tx, *restored, 4), descend(tx, params, tx.init(params), 8))
