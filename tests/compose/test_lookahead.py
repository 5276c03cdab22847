"""Lookahead: against the algorithm, optax, and both ways to hold the slow parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

PERIOD, ALPHA = 3, 0.3


def fast(rate=0.2):
    return optcore.sgd(rate, momentum=0.9)


def looking_ahead(w, grads, reset=False):
    """Two nested loops, as in the paper, around momentum."""
    phi, m = w, np.zeros_like(w)
    for start in range(0, len(grads), PERIOD):
        theta = phi
        if reset:
            m = np.zeros_like(w)
        for g in grads[start : start + PERIOD]:
            m = 0.9 * m + g
            theta = theta - 0.2 * m
            last = start + PERIOD <= len(grads) and g is grads[start + PERIOD - 1]
            if last:
                phi = phi + ALPHA * (theta - phi)
                theta = phi
            yield theta


@pytest.mark.parametrize("reset", [False, True])
def test_against_the_algorithm(reset):
    tx = optcore.lookahead(fast(), PERIOD, ALPHA, reset)
    oracles.agrees(tx, lambda w, grads: looking_ahead(w, grads, reset))


@pytest.mark.parametrize("reset", [False, True])
def test_pairs_are_those_of_optax(reset):
    optax = pytest.importorskip("optax", reason="compares with optax")
    txs = (
        optcore.lookahead(optcore.adam(0.1), PERIOD, ALPHA, reset),
        optax.lookahead(optax.adam(0.1), PERIOD, ALPHA, reset),
    )
    start = jax.tree.map(jnp.asarray, oracles.start())
    pairs = [
        optcore.compose.LookaheadParams.init_synced(start),
        optax.LookaheadParams.init_synced(start),
    ]
    states = [tx.init(pair) for tx, pair in zip(txs, pairs, strict=True)]
    for g in oracles.gradients(7):
        for i, tx in enumerate(txs):
            with jax.numpy_dtype_promotion("standard"):
                updates, states[i] = tx.update(g, states[i], pairs[i])
            pairs[i] = jax.tree.map(jnp.add, pairs[i], updates)
        for mine, theirs in zip(pairs[0], pairs[1], strict=True):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), mine, theirs)
    assert type(pairs[0]) is optcore.compose.LookaheadParams
    assert optcore.compose.LookaheadParams._fields == optax.LookaheadParams._fields
    assert int(states[0].steps_since_sync) == int(states[1].steps_since_sync) == 1


def test_pairs_equal_slow_parameters_in_the_state():
    tx = optcore.lookahead(fast(), PERIOD, ALPHA)
    plain = jax.tree.map(jnp.asarray, oracles.start())
    pair = optcore.compose.LookaheadParams.init_synced(plain)
    states = tx.init(plain), tx.init(pair)
    assert states[1].anchor is None
    for g in oracles.gradients(5):
        u, first = tx.update(g, states[0], params=plain)
        v, second = tx.update(g, states[1], params=pair)
        plain, pair = optcore.apply_updates(plain, u), optcore.apply_updates(pair, v)
        states = first, second
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain, pair.fast)
        slow = [optcore.eval_params(*x) for x in zip(states, (plain, pair), strict=True)]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), *slow)
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), slow[1], pair.slow))


def test_before_the_first_synchronisation_nothing_is_evaluated_but_the_start():
    tx = optcore.lookahead(fast(), 5, 1.0)
    w = jnp.float32(1.0)
    u, state = tx.update(jnp.float32(3.0), tx.init(w), params=w)
    assert optcore.eval_params(state, w + u).item() == 1.0
    assert (w + u).item() == pytest.approx(0.4)


def test_slow_parameters_keep_what_bfloat16_would_lose():
    tx = optcore.lookahead(optcore.sgd(1.0), 1, 0.125)
    w = jnp.ones(1, jnp.bfloat16)
    state = tx.init(w)
    assert state.anchor.dtype == jnp.float32
    _, state = tx.update(jnp.full(1, -0.01, jnp.float32), state, params=w)
    assert state.anchor.item() == pytest.approx(1.00125, rel=1e-6)
    assert optcore.eval_params(state, w).dtype == jnp.bfloat16


def test_none_keeps_both_where_they_are():
    tx = optcore.lookahead(optcore.sgd(1.0), 1, 0.5)
    w = {"a": jnp.float32(1.0), "b": jnp.float32(1.0)}
    u, state = tx.update({"a": None, "b": jnp.float32(1.0)}, tx.init(w), params=w)
    assert u["a"] is None
    assert (state.anchor["a"].item(), state.anchor["b"].item()) == (1.0, 0.5)


def test_a_schedule_of_the_step_size_and_a_chain_in_front():
    rate = optcore.linear_schedule(1.0, 0.0, 2)
    tx = optcore.chain(optcore.clip(1.0), optcore.lookahead(optcore.sgd(1.0), 1, rate))
    for wrap in (lambda w: w, optcore.compose.LookaheadParams.init_synced):
        params = wrap(jnp.float32(0.0))
        state = tx.init(params)
        seen = []
        for _ in range(3):
            u, state = tx.update(jnp.float32(-7.0), state, params=params)
            params = optcore.apply_updates(params, u)
            seen.append(optcore.eval_params(state, params).item())
        assert seen == [1.0, 1.5, 1.5]


def test_the_fast_optimizer_starts_anew_with_its_counts():
    tx = optcore.lookahead(optcore.adam(0.1), 2, 0.5, reset_state=True)
    w = jnp.float32(0.0)
    state, counts = tx.init(w), []
    for _ in range(5):
        _, state = tx.update(jnp.float32(1.0), state, params=w)
        counts.append(state.fast_state[0].count.item())
    assert counts == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("wrap", [lambda w: w, optcore.compose.LookaheadParams.init_synced])
def test_the_fast_optimizer_starts_anew_from_where_both_were_brought_together(wrap):
    anchored = optcore.chain(
        optcore.transforms.add_decay_to_init(0.5), optcore.scale_by_learning_rate(1.0)
    )
    tx = optcore.lookahead(anchored, 2, 0.25, reset_state=True)
    params, seen = wrap(jnp.float32(8.0)), []
    state = tx.init(params)
    for _ in range(6):
        u, state = tx.update(jnp.float32(-2.0), state, params=params)
        params = optcore.apply_updates(params, u)
        fast = params.fast if isinstance(params, optcore.compose.LookaheadParams) else params
        seen.append((fast.item(), state.fast_state[0].anchor.item()))
    # Up by 2, then by 2 - 0.5 · 2, and a quarter of these 3 is kept.
    assert seen == [(10, 8), (8.75, 8.75), (10.75, 8.75), (9.5, 9.5), (11.5, 9.5), (10.25, 10.25)]


def test_refuses():
    with pytest.raises(ValueError, match="sync_period must lie in"):
        optcore.lookahead(fast(), 0, 0.5)
    with pytest.raises(ValueError, match="slow_step_size must lie in"):
        optcore.lookahead(fast(), 2, 1.5)
    tx = optcore.lookahead(fast(), 2, 0.5)
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.zeros(2), tx.init(jnp.zeros(2)))
    pair = optcore.compose.LookaheadParams.init_synced({"w": jnp.zeros(2)})
    with pytest.raises(ValueError, match="'v' is not expected"):
        tx.update({"w": jnp.zeros(2), "v": jnp.zeros(2)}, tx.init(pair), params=pair)
