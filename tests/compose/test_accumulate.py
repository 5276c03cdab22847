"""Accumulation: the big batch, weights, schedules, what is skipped, and what runs when."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

INNER = optcore.adamw(optcore.linear_schedule(0.1, 0.0, 50), weight_decay=0.1)
PARAMS = {"w": np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2), "b": np.ones(2, np.float32)}


def stream(steps, seed=0):
    rng = np.random.default_rng(seed)
    return [
        jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), PARAMS)
        for _ in range(steps)
    ]


def run(tx, gradients, weights=None):
    """The parameters after every call, and the last state."""
    step = jax.jit(
        lambda g, s, p, **extra: (lambda u, s: (optcore.apply_updates(p, u), s))(
            *tx.update(g, s, p, **extra)
        )
    )
    params, state, path = PARAMS, tx.init(PARAMS), []
    for i, g in enumerate(gradients):
        extra = {} if weights is None else {"weight": weights[i]}
        params, state = step(g, state, params, **extra)
        path.append(params)
    return path, state


def big_batches(gradients, size, weights=None):
    """The mean of every window, in float64."""
    weights = np.ones(len(gradients)) if weights is None else np.asarray(weights, float)
    for i in range(0, len(gradients), size):
        share = weights[i : i + size] / np.sum(weights[i : i + size])
        stacked = jax.tree.map(lambda *g: np.stack(g), *gradients[i : i + size])
        yield jax.tree.map(
            lambda g, share=share: np.tensordot(share, g.astype(float), 1).astype(np.float32),
            stacked,
        )


@pytest.mark.parametrize("weights", [None, [5, 1, 3, 2, 0, 7, 1, 1, 1, 1, 40, 2]])
def test_the_big_batch(weights):
    gradients = stream(12)
    path, state = run(optcore.accumulate(INNER, 3), gradients, weights)
    wanted, inner = run(INNER, big_batches(gradients, 3, weights))
    for i, params in enumerate(path):
        before = ([PARAMS, *wanted])[(i + 1) // 3]
        moved = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), wanted[-1], PARAMS)
        for a, b, m in zip(*map(jax.tree.leaves, (params, before, moved)), strict=True):
            assert np.max(np.abs(a - b)) <= 2e-6 * m
    assert (state.count, state.mini_step, state.weight) == (4, 0, 0)
    assert state.inner.count == inner.count == 4


def test_zero_updates_in_between():
    tx = optcore.accumulate(INNER, 3)
    updates, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    for u in jax.tree.leaves(updates):
        np.testing.assert_array_equal(u, 0)
        assert not np.signbit(u).any()
    chex.assert_trees_all_equal(state.inner, tx.init(PARAMS).inner)
    assert (state.count, state.mini_step, state.weight) == (0, 1, 1)


def test_a_constant_gradient_is_its_own_mean():
    tx = optcore.accumulate(optcore.scale(1.0), 7)
    state = tx.init(jnp.float32(0.0))
    for _ in range(7):
        update, state = tx.update(jnp.float32(0.3), state)
    assert update == pytest.approx(0.3, rel=3e-7)


def test_what_is_not_finite_is_not_there():
    """The same as without it, bit by bit, and one gradient more makes up the window."""
    gradients = stream(4)
    bad = jax.tree.map(lambda g: np.where(g == g.max(), np.inf, g), gradients[0])
    tx = optcore.accumulate(INNER, 2)
    path, state = run(tx, [bad, gradients[0], bad, bad, *gradients[1:]])
    wanted, other = run(tx, gradients)
    chex.assert_trees_all_equal(path[-1], wanted[-1])
    chex.assert_trees_all_equal(path[2], PARAMS)
    chex.assert_trees_all_equal(state._replace(total_notfinite=other.total_notfinite), other)
    assert state.total_notfinite == 3


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_an_impossible_weight_is_not_there_either(weight):
    tx = optcore.accumulate(INNER, 1)
    path, state = run(tx, stream(1), [np.float32(weight)])
    chex.assert_trees_all_equal(path[0], PARAMS)
    assert (state.skipped, state.mini_step, state.count) == (1, 0, 0)


def test_windows_without_any_weight():
    """Their mean is 0, and what an earlier window has left does not count."""
    tx = optcore.accumulate(optcore.scale(1.0), 2)
    state, updates = tx.init(jnp.zeros(2)), []
    for g, w in ((4.0, 1), (6.0, 1), (9.0, 0), (9.0, 0), (9.0, 0), (5.0, 2)):
        update, state = tx.update(jnp.full(2, g), state, weight=w)
        updates.append(update[0].item())
    assert updates == [0, 5, 0, 0, 0, 5]


def test_large_gradients_do_not_overflow():
    tx = optcore.accumulate(optcore.scale(1.0), 4)
    state, largest = tx.init(jnp.zeros(2)), np.finfo(np.float32).max
    for _ in range(4):
        update, state = tx.update(jnp.array([0.9, -0.9], jnp.float32) * largest, state)
    np.testing.assert_allclose(update, np.float32([0.9, -0.9]) * largest, rtol=1e-6)


@pytest.mark.parametrize(
    "every",
    [
        lambda count: jnp.where(count < 2, 1, 3),
        lambda count: jnp.where(count < 2, 0.7, 3.2),
        optcore.piecewise_constant_schedule(1.0, {2: 3.0}),
    ],
)
def test_windows_by_schedule(every):
    gradients = stream(8)
    path, state = run(optcore.accumulate(INNER, every), gradients)
    batches = [gradients[0], gradients[1], *big_batches(gradients[2:], 3)]
    wanted, _ = run(INNER, batches)
    moves = [
        not np.array_equal(a["w"], b["w"]) for a, b in zip([PARAMS, *path], path, strict=False)
    ]
    assert moves == [True, True, False, False, True, False, False, True]
    chex.assert_trees_all_close(path[-1], wanted[-1], rtol=1e-5)
    assert state.count == 4


def test_a_schedule_of_windows_is_data():
    tx = optcore.accumulate(INNER, optcore.linear_schedule(1.0, 4.0, 3))
    assert optcore.from_config(optcore.to_config(tx)) == tx
    assert optcore.hyperparameters(tx)["every.end_value"] == 4.0

    def steps(tx):
        state = tx.init(jnp.zeros(2))
        return jax.lax.fori_loop(
            0, 9, lambda _, s: tx.update(jnp.ones(2), s, s.acc_grads)[1], state
        )

    # Windows of 1, 2, 3 and 4, of which the last is not complete; and of 1, 1, 2, 2 and 2.
    assert jax.jit(steps)(tx).count == 3
    slower = tx.replace(every=optcore.linear_schedule(1.0, 2.0, 3))
    assert jax.jit(steps)(slower).count == 5


def test_accumulation_within_accumulation():
    """The outer one hands the sum of the weights on."""
    gradients, weights = stream(6), [1, 2, 3, 4, 5, 6]
    tx = optcore.accumulate(optcore.accumulate(optcore.sgd(1.0), 2), 3)
    path, _ = run(tx, gradients, weights)
    wanted, _ = run(optcore.sgd(1.0), big_batches(gradients, 6, weights))
    chex.assert_trees_all_close(path[-1], wanted[-1], rtol=1e-5)


def test_the_last_call_gives_parameters_and_extra_arguments():
    tx = optcore.accumulate(optcore.polyak_sgd(100.0), 2)
    state = tx.init(jnp.zeros(2))
    for value in (8.0, 2.0):
        updates, state = tx.update(jnp.array([1.0, 2.0]), state, value=value)
    np.testing.assert_allclose(updates, [-0.4, -0.8], rtol=1e-6)


def test_low_precision_accumulates_in_float32():
    tx = optcore.accumulate(optcore.scale(1.0), 4)
    g = [jnp.float16(60000.0)] * 3 + [jnp.float16(1.0)]
    state = tx.init(g[0])
    assert state.acc_grads.dtype == jnp.float32
    for x in g:
        update, state = tx.update(x, state)
    assert update == pytest.approx(45000.25, rel=1e-6)


def test_in_double_precision_nothing_is_lost():
    with oracles.double_precision():
        tx = optcore.accumulate(optcore.scale(1.0), 2)
        state = tx.init(jnp.zeros(2))
        for x in (1.0, 1.0 + 1e-12):
            update, state = tx.update(jnp.full(2, x), state)
        assert update.dtype == jnp.float64
        np.testing.assert_allclose(update - 1, 5e-13, rtol=1e-3)


def test_none_counts_as_zero():
    tx = optcore.accumulate(optcore.scale(1.0), 2)
    start = {"a": jnp.zeros(2), "b": jnp.zeros(2), "n": jnp.int32(3)}
    state = tx.init(start)
    one, two = jnp.full(2, 4.0), jnp.full(2, 2.0)
    calls = [
        ({"a": one, "b": one}, {"a": 0, "b": 0}),
        ({"a": one, "b": one}, {"a": 4, "b": 4}),
        ({"a": None, "b": one}, {"a": None, "b": 0}),
        ({"a": two, "b": two}, {"a": 1, "b": 3}),
        ({"a": one, "b": one}, {"a": 0, "b": 0}),
        ({"a": None, "b": one}, {"a": None, "b": 4}),
    ]
    for g, wanted in calls:
        updates, state = tx.update({**g, "n": None}, state)
        got = {k: None if u is None else float(u[0]) for k, u in updates.items()}
        assert got == {**wanted, "n": None}


def test_inner_runs_behind_a_branch():
    """And under `vmap` it is a selection; each member has its own window."""
    tx = optcore.accumulate(INNER, 2)
    state = tx.init(PARAMS)
    text = str(jax.make_jaxpr(tx.update)(PARAMS, state, PARAMS))
    assert "cond[" in text
    tx = optcore.accumulate(optcore.sgd(1.0), 2)

    def last(gradients):
        def body(state, g):
            update, state = tx.update(g, state)
            return state, update

        return jax.lax.scan(body, tx.init(jnp.float32(0)), gradients)

    gradients = jnp.array([[1.0, 3.0, 5.0, 7.0], [1.0, jnp.nan, 5.0, 7.0]])
    state, updates = jax.vmap(last)(gradients)
    np.testing.assert_array_equal(updates, [[0, -2, 0, -6], [0, 0, -3, 0]])
    assert state.count.tolist() == [2, 1]
    assert "cond[" not in str(jax.make_jaxpr(jax.vmap(last))(gradients))


@pytest.mark.parametrize("weight", [jnp.ones(2), 1j])
def test_a_weight_is_a_real_scalar(weight):
    tx = optcore.accumulate(INNER, 2)
    with pytest.raises(ValueError, match="accumulate: weight must be a real scalar"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS, weight=weight)


def test_impossible_windows():
    with pytest.raises(ValueError, match="accumulate: every must lie in"):
        optcore.accumulate(INNER, 0)
    with pytest.raises(TypeError, match=r"every must be an int or a schedule, got 2\.5"):
        optcore.accumulate(INNER, 2.5)
    tx = optcore.accumulate(INNER, lambda count: jnp.ones(2))
    with pytest.raises(ValueError, match="the schedule must give a real scalar"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS)
