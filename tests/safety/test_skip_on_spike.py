"""Skipping spikes: when, what stays, and how a new level is found."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

INNER = optcore.adam(optcore.linear_schedule(0.1, 0.0, 100))


def run(tx, norms, values=None):
    """Which steps of a stream of gradient norms were taken, and the last state."""
    step = jax.jit(lambda g, s, v: tx.update(g, s, value=v))
    state, taken = tx.init(jnp.zeros(2)), []
    for g, v in zip(norms, norms if values is None else values, strict=True):
        direction = jnp.array([0.6, -0.8], jnp.float32)
        update, state = step(jnp.float32(g) * direction, state, jnp.float32(v))
        taken.append(bool(np.any(update != 0)))
    return taken, state


def reference(stream, window, factor, patience):
    """Which steps are taken, in float64, with a list for the window."""
    seen, skipped = [], 0
    for x in map(float, np.float32(stream)):
        spike = len(seen) >= max(2, -(-window // 2)) and x > np.mean(seen) + factor * np.std(
            seen, ddof=1
        )
        anew = spike and patience is not None and skipped >= patience
        yield not spike or anew
        if anew:
            seen = []
        if spike and not anew:
            skipped += 1
        else:
            seen, skipped = [*seen, x][-window:], 0


@pytest.mark.parametrize(
    ("window", "factor", "patience"), [(5, 1.5, 2), (8, 2.0, None), (2, 0.5, 1), (3, 0.0, 3)]
)
def test_against_a_list(window, factor, patience):
    stream = np.random.default_rng(window).lognormal(0, 0.6, size=60)
    tx = optcore.skip_on_spike(optcore.sgd(0.1), window, factor, max_consecutive_skips=patience)
    expected = list(reference(stream, window, factor, patience))
    assert 5 < sum(expected) < 55
    assert run(tx, stream)[0] == expected


def test_a_constant_stream_is_never_skipped():
    """Not even where the mean of equal numbers would be rounded, and at a factor of 0."""
    tx = optcore.skip_on_spike(optcore.sgd(1.0), 7, 0.0)

    def run_constant(norm):
        def body(state, _):
            return tx.update(norm, state)[1], None

        return jax.lax.scan(body, tx.init(jnp.zeros(())), length=20)[0]

    norms = np.random.default_rng(0).lognormal(0, 5, size=64)
    state = jax.jit(jax.vmap(run_constant))(jnp.asarray(norms, jnp.float32))
    np.testing.assert_array_equal(state.count, 20)
    np.testing.assert_array_equal(state.skipped, 0)


def test_one_spike_leaves_no_trace():
    """Nothing that is guarded changes, not even a count, and the update is exactly zero."""
    tx = optcore.skip_on_spike(INNER, 4)
    _, before = run(tx, [1.0, 1.1, 0.9])
    update, after = tx.update(jnp.array([100.0, 0.0]), before)
    np.testing.assert_array_equal(update, [0.0, 0.0])
    assert not np.signbit(update).any()
    chex.assert_trees_all_equal(after.inner, before.inner)
    chex.assert_trees_all_equal(after.window, before.window)
    assert (after.count, after.skipped) == (3, 1)
    # The next step is the one that would have followed without the spike.
    g = jnp.array([0.6, 0.8])
    (u, once), (v, direct) = tx.update(g, after), tx.update(g, before)
    np.testing.assert_array_equal(u, v)
    chex.assert_trees_all_equal(once, direct)
    assert optcore.read(tx, once, "learning_rate") == pytest.approx(0.1 * 0.97)


def test_the_threshold_is_that_of_the_formula():
    norms = [1.0, 2.0, 4.0, 3.0]
    limit = np.mean(norms) + 6 * np.std(norms, ddof=1)
    tx = optcore.skip_on_spike(optcore.sgd(1.0), 4)
    assert run(tx, [*norms, 0.999 * limit])[0][-1]
    assert not run(tx, [*norms, 1.001 * limit])[0][-1]


@pytest.mark.parametrize(("window", "waits"), [(2, 2), (4, 2), (5, 3), (128, 64)])
def test_half_of_the_window_must_be_there(window, waits):
    tx = optcore.skip_on_spike(optcore.sgd(1.0), window)
    assert run(tx, [1.0] * (waits - 1) + [1e3])[0][-1]
    assert not run(tx, [1.0] * waits + [1e3])[0][-1]


@pytest.mark.parametrize(
    ("watch", "expected"),
    [
        ("gradient", [True, True, False, True, True]),
        ("value", [True, True, True, False, True]),
        ("both", [True, True, False, False, True]),
    ],
)
def test_what_is_watched(watch, expected):
    tx = optcore.skip_on_spike(optcore.sgd(1.0), 4, watch=watch)
    norms, values = [1.0, 1.1, 50.0, 1.0, 1.1], [-3.0, -3.1, -3.0, 9.0, -3.2]
    taken, state = run(tx, norms, values)
    assert taken == expected
    columns = {"gradient": [1.1], "value": [-3.2], "both": [1.1, -3.2]}[watch]
    np.testing.assert_allclose(state.window[-1], columns, rtol=1e-6)


def test_a_fall_is_no_spike():
    assert all(run(optcore.skip_on_spike(optcore.sgd(1.0), 4), [5.0, 5.1, 4.9, 1e-3])[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_skipped_at_any_time(bad):
    tx = optcore.skip_on_spike(INNER, 4, np.inf, max_consecutive_skips=1)
    taken, state = run(tx, [bad, bad, bad, 1.0, 2.0, 3.0, bad, bad, 1e4])
    assert taken == [False] * 3 + [True] * 3 + [False] * 2 + [True]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
    assert state.skipped == 0


def test_a_new_level_is_accepted_after_some_skips():
    level = [1.0, 1.1, 0.9, 1.0] + [10.0] * 7
    tx = optcore.skip_on_spike(optcore.sgd(1.0), 4, max_consecutive_skips=3)
    taken, state = run(tx, level)
    assert taken == [True] * 4 + [False] * 3 + [True] * 4
    assert (state.count, state.skipped) == (4, 0)
    never = optcore.skip_on_spike(optcore.sgd(1.0), 4, max_consecutive_skips=None)
    taken, state = run(never, level)
    assert taken == [True] * 4 + [False] * 7
    assert state.skipped == 7


def test_by_default_a_new_level_is_accepted_when_a_window_that_learns_would():
    stream = [*np.tile([1.0, 1.1], 64), *[50.0] * 8]
    window, expected = list(stream[:128]), []
    for x in stream[128:]:
        expected.append(bool(x <= np.mean(window) + 6 * np.std(window, ddof=1)))
        window = [*window[1:], x]
    assert expected == [False] * 4 + [True] * 4
    assert run(optcore.skip_on_spike(optcore.sgd(0.1)), stream)[0][128:] == expected


def test_each_member_of_a_batch_decides_for_itself():
    tx = optcore.skip_on_spike(INNER, 2)
    streams = jnp.array([[1.0, 1.1, 1.0], [1.0, 1.1, 90.0]])

    def last(stream):
        def body(state, g):
            update, state = tx.update(g, state)
            return state, update

        state, updates = jax.lax.scan(body, tx.init(jnp.zeros(())), stream)
        return updates[-1], state.skipped, state.inner.count

    update, skipped, counts = jax.jit(jax.vmap(last))(streams)
    assert update[0] != 0
    assert update[1] == 0
    assert skipped.tolist() == [0, 1]
    assert counts.tolist() == [3, 2]


def test_a_random_key_is_frozen_too():
    def update(updates, key, params=None, **extra):
        return updates, jax.random.split(key)[0]

    walk = optcore.GradientTransformation(lambda params: jax.random.key(0), update)
    tx = optcore.skip_on_spike(walk, 2)
    _, before = run(tx, [1.0, 1.0])
    _, after = tx.update(jnp.array([9.0, 9.0]), before)
    assert after.inner == before.inner
    _, taken = tx.update(jnp.array([0.1, 0.1]), before)
    assert taken.inner != before.inner


def test_the_value_must_be_given_and_a_scalar():
    tx = optcore.skip_on_spike(optcore.sgd(0.1), watch="value")
    g = jnp.ones(2)
    with pytest.raises(ValueError, match="watch='value' needs 'value', which was not given"):
        tx.update(g, tx.init(g))
    for wrong in (g, jnp.complex64(1j)):
        with pytest.raises(ValueError, match="skip_on_spike: value must be a real scalar"):
            tx.update(g, tx.init(g), value=wrong)


def test_the_value_reaches_the_inner_one():
    seen = []

    def update(updates, state, params=None, **extra):
        seen.append((params, extra))
        return updates, state

    tx = optcore.skip_on_spike(optcore.GradientTransformation(lambda p: (), update), watch="both")
    p = jnp.float32(3)
    tx.update(p, tx.init(p), p, value=jnp.float32(2), tag=1)
    ((params, extra),) = seen
    assert (float(params), float(extra["value"]), extra["tag"]) == (3, 2, 1)


@pytest.mark.parametrize(("name", "value"), [("window_steps", 1), ("max_consecutive_skips", 0)])
def test_impossible_lengths(name, value):
    with pytest.raises(ValueError, match=f"skip_on_spike: {name} must lie in"):
        optcore.skip_on_spike(optcore.sgd(0.1), **{name: value})


@pytest.mark.parametrize("watch", ["gradient", "value", "both"])
def test_in_double_precision_the_window_stays_single(watch):
    with oracles.double_precision():
        tx = optcore.skip_on_spike(optcore.sgd(0.1), 2, watch=watch)
        g = jnp.ones(3, jnp.float64)
        state = tx.init(g)
        for size in (1.0, 1.0, 1e3):
            update, state = tx.update(size * g, state, value=jnp.float64(size))
        assert (update.dtype, state.window.dtype) == (jnp.float64, jnp.float32)
        assert state.skipped == 1


@pytest.mark.slow
def test_derivatives_are_finite_behind_a_skipped_nan():
    def moved(tx):
        w = jnp.ones(2)
        state = tx.init(w)
        for g in (w, jnp.full(2, jnp.nan), 2 * w):
            update, state = tx.update(g, state, w)
            w = w + update
        return jnp.sum(w)

    found = optcore.hyperparameters(jax.grad(moved)(optcore.skip_on_spike(optcore.adam(0.1))))
    wanted = optcore.hyperparameters(jax.grad(moved)(optcore.guard(optcore.adam(0.1))))
    for name, derivative in wanted.items():
        np.testing.assert_allclose(found[name], derivative, rtol=1e-5)
