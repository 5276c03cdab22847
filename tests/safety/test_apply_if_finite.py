"""optax's `apply_if_finite`: the same while it skips, and finite when it gives up."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.safety.test_guard import sum_of_squares

GOOD = jnp.array([1.0, -2.0])
BAD = jnp.array([jnp.nan, 1.0])


def run(tx, gradients):
    """The updates and counters of every step."""
    state = tx.init(GOOD)
    for g in gradients:
        updates, state = tx.update(g, state)
        yield np.asarray(updates), state


def test_like_optax_until_it_gives_up():
    optax = pytest.importorskip("optax", reason="it is optax's")
    stream = [GOOD, BAD, GOOD, BAD, BAD, GOOD]
    ours = run(optcore.apply_if_finite(optcore.sgd(0.1, momentum=0.9), 2), stream)
    theirs = run(optax.apply_if_finite(optax.sgd(0.1, momentum=0.9), 2), stream)
    for (u, state), (v, other) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-6)
        assert type(state)._fields == type(other)._fields
        assert state[:3] == other[:3]


def test_what_is_finite_is_accepted_in_the_end():
    tx = optcore.apply_if_finite(optcore.adam(0.1), 2)
    steps = list(run(tx, [BAD] * 4 + [GOOD]))
    assert [np.any(u != 0) for u, _ in steps] == [False, False, True, True, True]
    assert all(np.isfinite(u).all() for u, _ in steps)
    assert [u[0] for u, _ in steps[:4]] == [0, 0, 0, 0]
    assert [int(s.notfinite_count) for _, s in steps] == [1, 2, 3, 4, 0]
    assert [bool(s.last_finite) for _, s in steps] == [False] * 4 + [True]
    last = steps[-1][1]
    assert last.total_notfinite == 4
    assert np.isfinite(last.inner_state[0].nu).all()
    assert last.inner_state[0].count == 3


def test_skipped_at_any_time_if_the_result_is_not_finite():
    tx = optcore.apply_if_finite(sum_of_squares(), 0)
    (updates, state), *_ = run(tx, [jnp.array([1e30, 1.0])])
    np.testing.assert_array_equal(updates, 0)
    assert not state.last_finite
    chex.assert_trees_all_equal(state.inner_state, tx.init(GOOD).inner_state)


def test_the_limit_is_a_count():
    with pytest.raises(ValueError, match="max_consecutive_errors must lie in"):
        optcore.apply_if_finite(optcore.sgd(0.1), -1)
