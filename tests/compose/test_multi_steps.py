"""optax's `MultiSteps`: the same where optax is right, and what a NaN does not do."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

START = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.float32(0.5)}


def gradients(steps, seed=0):
    rng = np.random.default_rng(seed)
    return [
        jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), START)
        for _ in range(steps)
    ]


def run(tx, stream):
    state, step = tx.init(START), jax.jit(tx.update)
    for g in stream:
        updates, state = step(g, state, START)
        yield updates, state


@pytest.mark.parametrize("use_grad_mean", [True, False])
@pytest.mark.parametrize(
    "every", [3, lambda step: jnp.where(step < 2, 1, 2)], ids=["int", "schedule"]
)
def test_like_optax(every, use_grad_mean):
    optax = pytest.importorskip("optax", reason="it is optax's")
    arguments = {"every_k_schedule": every, "use_grad_mean": use_grad_mean}
    ours = optcore.MultiSteps(
        optcore.sgd(0.1, momentum=0.9),
        should_skip_update_fn=functools.partial(optcore.skip_large_updates, max_squared_norm=3.5),
        **arguments,
    )
    theirs = optax.MultiSteps(
        optax.sgd(0.1, momentum=0.9),
        should_skip_update_fn=functools.partial(optax.skip_large_updates, max_squared_norm=3.5),
        **arguments,
    )
    skips = 0
    stream = gradients(9)
    with jax.numpy_dtype_promotion("standard"):
        expected = list(run(theirs, stream))
    for (u, state), (v, other) in zip(run(ours, stream), expected, strict=True):
        chex.assert_trees_all_close(u, v, rtol=2e-6, atol=1e-7)
        assert (state.mini_step, state.gradient_step) == (other.mini_step, other.gradient_step)
        assert state.skip_state["should_skip"] == other.skip_state["should_skip"]
        skips += int(state.skip_state["should_skip"])
    assert 0 < skips < 6
    assert type(state)._fields[:5] == type(other)._fields


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_run_goes_on_after_a_bad_gradient(bad):
    """In optax the accumulator would be NaN for ever, or all updates zero."""
    stream = gradients(4)
    spoilt = {**stream[0], "w": stream[0]["w"].at[1].set(bad)}
    tx = optcore.MultiSteps(optcore.adam(0.1), 2)
    *_, (updates, state) = run(tx, [stream[0], spoilt, *stream[1:]])
    *_, (wanted, clean) = run(tx, stream)
    chex.assert_trees_all_equal(updates, wanted)
    chex.assert_trees_all_equal(state._replace(total_notfinite=clean.total_notfinite), clean)
    assert state.total_notfinite == 1
    assert state.gradient_step == 2


def test_what_the_function_returns_is_kept():
    tx = optcore.MultiSteps(optcore.sgd(0.1), 2, should_skip_update_fn=optcore.skip_not_finite)
    state = tx.init(START)
    assert set(state.skip_state) == {"should_skip", "num_not_finite"}
    spoilt = {**START, "w": jnp.array([jnp.nan, jnp.inf, 1.0])}
    _, state = jax.jit(tx.update)(spoilt, state, START)
    assert state.skip_state["should_skip"]
    assert state.skip_state["num_not_finite"] == 2
    assert (state.mini_step, state.skipped) == (0, 1)


def test_skipping_by_the_function_is_counted_but_not_as_not_finite():
    def every_time(updates, step, params):
        return jnp.ones((), bool), step + 1

    tx = optcore.MultiSteps(optcore.sgd(0.1), 1, should_skip_update_fn=every_time)
    *_, (updates, state) = run(tx, gradients(3))
    assert all(np.all(u == 0) for u in jax.tree.leaves(updates))
    assert (state.skipped, state.total_notfinite, state.skip_state) == (3, 0, 1)


def test_accumulator_dtype():
    tx = optcore.MultiSteps(optcore.sgd(0.1), 2, accumulator_dtype=jnp.bfloat16)
    *_, (updates, state) = run(tx, gradients(2))
    assert {x.dtype for x in jax.tree.leaves(state.acc_grads)} == {jnp.dtype(jnp.bfloat16)}
    assert updates["w"].dtype == jnp.float32


@pytest.mark.parametrize(
    "make", [optcore.MultiSteps, optcore.accumulate], ids=["MultiSteps", "accumulate"]
)
def test_has_updated(make):
    tx = optcore.dynamic_loss_scale(make(optcore.sgd(0.1), 2), 1.0)
    state, seen = tx.init(START), []
    spoilt = {**START, "b": jnp.float32(jnp.nan)}
    for g in (START, START, spoilt, START, spoilt, START):
        _, state = tx.update(g, state, START)
        seen.append(bool(optcore.has_updated(state)))
    assert seen == [False, True, False, False, False, True]


def test_has_updated_of_others():
    with pytest.raises(ValueError, match=r"has_updated: expected a state with one .* found 0"):
        optcore.has_updated(optcore.sgd(0.1).init(START))


@pytest.mark.parametrize("result", [jnp.ones(2, bool), jnp.int32(1)])
def test_the_decision_is_a_boolean_scalar(result):
    tx = optcore.MultiSteps(optcore.sgd(0.1), 2, should_skip_update_fn=lambda u, s, p: (result, ()))
    with pytest.raises(ValueError, match="should_skip_update_fn must give a boolean scalar first"):
        tx.init(START)


def test_functions_that_decide():
    g = {"w": jnp.array([3.0, 0.0], jnp.float16), "b": jnp.array([4j]), "none": None}
    skip, seen = optcore.skip_large_updates(g, 0, None, 25.1)
    assert (bool(skip), float(seen["norm_squared"])) == (False, 25)
    assert optcore.skip_large_updates(g, 0, None, 25.0)[0]
    assert optcore.skip_large_updates({"w": jnp.array([jnp.nan])}, 0, None, 1e9)[0]
    # float16 would overflow at 256.
    assert not optcore.skip_large_updates(jnp.full(2, 300, jnp.float16), 0, None, 1e6)[0]
    skip, seen = optcore.skip_not_finite(g, 0, None)
    assert (bool(skip), int(seen["num_not_finite"])) == (False, 0)
    skip, seen = optcore.skip_not_finite({"a": jnp.array([jnp.nan, -jnp.inf]), "n": 3}, 0, None)
    assert (bool(skip), int(seen["num_not_finite"])) == (True, 2)
