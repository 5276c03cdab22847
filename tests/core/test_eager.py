"""Eager calls: compiled where that is of use again, and op by op where it is not."""

import functools
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import _boundary
from tests.oracles import count_compilations

PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
GRADS = jax.tree.map(lambda p: 0.5 * p, PARAMS)


@pytest.fixture
def compiled():
    """How many programs of whole updates there are."""
    before = _boundary._compiled_update._cache_size()
    return lambda: _boundary._compiled_update._cache_size() - before


def test_a_rate_that_changes_in_every_call_compiles_no_more_after_a_few(compiled):
    # Static arguments that no other test has: counted is what came before in the same process.
    make = functools.partial(optcore.adamw, b1=0.7, nesterov=True, mu_dtype="float32")
    state = make(0.1).init(PARAMS)
    counts = []
    for i in range(14):
        _, state = make(0.1 + i).update(GRADS, state, PARAMS)
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


# Rates of their own: a number that came in another test would come again here.
CHANGING = {
    "accumulate": lambda i: optcore.accumulate(optcore.adam(0.11 + i), 2),
    "accumulate a function": lambda i: optcore.accumulate(optcore.sgd(lambda count: 0.12 + i), 2),
    "switch": lambda i: optcore.switch([optcore.adam(0.13 + i), optcore.sgd(0.1)], [2]),
    "clip_by_global_norm": lambda i: optcore.clip_by_global_norm(1.5 + i),
    "dynamic_loss_scale": lambda i: optcore.dynamic_loss_scale(optcore.adam(0.14 + i)),
}


@pytest.mark.parametrize("make", CHANGING.values(), ids=CHANGING.keys())
def test_nothing_inside_is_compiled_in_each_call(make):
    """Neither are the branches, whose closures are new each time."""
    state = make(0).init(PARAMS)
    for i in range(14):
        with count_compilations() as programs:
            _, state = make(i).update(GRADS, state, PARAMS)
    assert not programs


def test_an_eager_norm_is_compiled_once():
    optcore.global_norm(GRADS)
    with count_compilations() as programs:
        optcore.global_norm(PARAMS)
    assert not programs


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


def test_causes_are_shortened_too_and_what_raised_stays():
    def rate(count):
        try:
            broken().update(jnp.ones(3), optcore.EmptyState())
        except TypeError as error:
            raise ValueError("no rate") from error

    tx = optcore.sgd(rate)
    with pytest.raises(ValueError, match="no rate") as caught:
        tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
    cause = caught.value.__cause__
    names = [frame.name for frame in traceback.extract_tb(cause.__traceback__)]
    assert "_checked_update" not in names
    with pytest.raises(TypeError, match="adam") as caught:
        optcore.adam(0.1).update(jnp.ones(3), None)
    assert "_core" in str(caught.traceback[-1].path)
