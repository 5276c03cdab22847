"""Eager calls: compiled where that is of use again, and op by op where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import _boundary

PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
GRADS = jax.tree.map(lambda p: 0.5 * p, PARAMS)


@pytest.fixture
def compiled():
    """How many programs of whole updates there are."""
    before = _boundary._compiled_update._cache_size()
    return lambda: _boundary._compiled_update._cache_size() - before


def test_a_rate_that_changes_in_every_call_compiles_no_more_after_a_few(compiled):
    state = optcore.adamw(0.1, b1=0.7).init(PARAMS)
    counts = []
    for i in range(14):
        _, state = optcore.adamw(0.1 + i, b1=0.7).update(GRADS, state, PARAMS)
        counts.append(compiled())
    # The whole for the first two rates, and the direction when it has come three times.
    assert counts[:2] == [1, 2]
    assert counts[-1] == counts[5]
    assert counts[-1] <= 4


def test_numbers_that_come_again_are_compiled(compiled):
    makers = [lambda i=i: optcore.sgd(0.25 + i, momentum=0.6) for i in range(5)]
    state = makers[0]().init(PARAMS)
    for make in makers:
        make().update(GRADS, state)
    settled = compiled()
    for _ in range(3):
        makers[-1]().update(GRADS, state)
    assert compiled() > settled
    settled = compiled()
    makers[-1]().update(GRADS, state)
    assert compiled() == settled


def test_what_goes_op_by_op_is_the_same():
    state = one = optcore.adamw(0.1, b2=0.93).init(PARAMS)
    for i in range(8):
        tx = optcore.adamw(0.1 / (1 + i), b2=0.93)
        eager, state = tx.update(GRADS, state, PARAMS)
        traced, one = jax.jit(tx.update)(GRADS, one, PARAMS)
        for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(traced), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6)


@optcore.transformation("transform", example={})
def broken() -> optcore.GradientTransformation:
    """A leaf with a mistake in it."""

    def leaf(g):
        return g + jnp.zeros(7)

    return optcore.per_leaf(None, leaf)


@pytest.mark.parametrize("run", ["eager", "jit", "op by op"])
def test_a_users_error_is_not_buried_under_frames_of_ours(run):
    tx = optcore.guard(optcore.chain(optcore.clip(1.0), broken(), optcore.scale(-1.0)))
    params = jnp.ones(3)
    state = tx.init(params)
    update = jax.jit(tx.update) if run == "jit" else tx.update
    with jax.disable_jit(run == "op by op"), pytest.raises(TypeError) as caught:
        update(params, state)
    frames = [entry.path for entry in caught.traceback]
    assert sum("optcore" in str(path) and "tests" not in str(path) for path in frames) < 10
    assert any(entry.name == "leaf" for entry in caught.traceback)


def test_all_frames_are_there_if_they_are_wanted():
    tx = broken()
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    try:
        with pytest.raises(TypeError) as caught:
            tx.update(jnp.ones(3), optcore.EmptyState())
    finally:
        jax.config.update("jax_traceback_filtering", before)
    assert any(entry.name == "_checked_update" for entry in caught.traceback)
