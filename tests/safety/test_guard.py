"""The guard: what counts as not finite, what stays, what is zeroed, and the two counters."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

INNER = optcore.adam(optcore.linear_schedule(0.1, 0.0, 100))
GOOD = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([0.5], jnp.float16)}
BAD = {
    "nan": {**GOOD, "b": jnp.array([jnp.nan], jnp.float16)},
    "infinity": {**GOOD, "w": jnp.array([1.0, jnp.inf])},
    "minus infinity": {**GOOD, "w": jnp.array([-jnp.inf, 1.0])},
}


def after(tx, *gradients):
    """The last update and the state."""
    state = tx.init(gradients[0])
    for g in gradients:
        updates, state = tx.update(g, state)
    return updates, state


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_skipped_step_leaves_no_trace(bad):
    tx = optcore.guard(INNER)
    _, before = after(tx, GOOD)
    updates, skipped = tx.update(bad, before)
    for u, g in zip(jax.tree.leaves(updates), jax.tree.leaves(GOOD), strict=True):
        assert u.dtype == jnp.float32
        np.testing.assert_array_equal(u, np.zeros(g.shape))
        assert not np.signbit(u).any()
    chex.assert_trees_all_equal(skipped.inner, before.inner)
    assert (skipped.skipped, skipped.total_notfinite) == (1, 1)
    chex.assert_trees_all_equal(tx.update(GOOD, skipped)[0], tx.update(GOOD, before)[0])
    assert optcore.read(tx, tx.update(GOOD, skipped)[1], "learning_rate") == pytest.approx(0.099)


def test_an_update_that_is_not_finite():
    tx = optcore.guard(optcore.chain(optcore.trace(0.9), optcore.stateless(reciprocal)))
    updates, state = after(tx, jnp.array([1.0, 2.0]), jnp.array([1.0, -1.8]))
    np.testing.assert_array_equal(updates, 0)
    np.testing.assert_allclose(state.inner[0].trace, [1.0, 2.0])
    assert state.skipped == 1


def reciprocal(updates, params):
    return jax.tree.map(lambda g: 1 / jnp.where(jnp.abs(g) < 1e-6, 0, g), updates)


def sum_of_squares():
    """A user's pair, whose state overflows where the gradient does not."""

    def update(updates, state, params=None, **extra):
        return updates, jax.tree.map(lambda s, g: s + g * g, state, updates)

    return optcore.GradientTransformation(optcore.slots, update)


@pytest.mark.parametrize("mode", ["skip", "zero"])
def test_a_state_that_is_not_finite(mode):
    """The update is."""
    g = jnp.array([1e30, 1.0])
    assert np.isfinite(after(sum_of_squares(), g)[0]).all()
    assert np.isinf(after(sum_of_squares(), g)[1]).any()
    updates, state = after(optcore.guard(sum_of_squares(), mode), g)
    np.testing.assert_array_equal(updates, 0)
    np.testing.assert_array_equal(state.inner, 0)
    assert state.skipped == 1


def test_a_state_that_starts_at_infinity():
    """The best value so far of `reduce_on_plateau`: it may stay there, or leave."""
    plateau = optcore.reduce_on_plateau(accumulation_size=2)
    tx = optcore.guard(optcore.chain(optcore.scale(1.0), plateau))
    state = tx.init(jnp.ones(2))
    assert np.isinf(state.inner[1].best_value)
    for _ in range(2):
        updates, state = tx.update(jnp.ones(2), state, value=jnp.float32(3.0))
        np.testing.assert_array_equal(updates, 1)
    assert state.inner[1].best_value == 3.0
    # A loss that is not finite is not in the gradient, but would be in the state.
    updates, lost = tx.update(jnp.ones(2), state, value=jnp.float32(jnp.nan))
    np.testing.assert_array_equal(updates, 0)
    chex.assert_trees_all_equal(lost.inner, state.inner)


def test_what_is_zeroed():
    """Elements, not leaves, and of a complex number both parts."""
    tx = optcore.guard(optcore.scale(-2.0), "zero")
    g = {"w": jnp.array([1.0, jnp.nan, -jnp.inf]), "z": jnp.array([1 + 1j, complex(2, jnp.inf)])}
    updates, state = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(updates["w"], [-2, 0, 0])
    np.testing.assert_array_equal(updates["z"], [-2 - 2j, 0])
    assert (state.skipped, state.total_notfinite) == (1, 1)


def test_zeroed_steps_count():
    tx = optcore.guard(INNER, "zero")
    _, state = after(tx, BAD["nan"], BAD["infinity"], GOOD)
    assert state.inner.count == 3
    assert (state.skipped, state.total_notfinite) == (0, 2)


def test_counters():
    tx = optcore.guard(optcore.sgd(0.1))
    pattern = [0, 1, 1, 0, 1, 1, 1, 0]
    state, seen = tx.init(GOOD), []
    for bad in pattern:
        _, state = tx.update(BAD["nan"] if bad else GOOD, state)
        seen.append((int(state.skipped), int(state.total_notfinite)))
    assert seen == [(0, 0), (1, 1), (2, 2), (0, 2), (1, 3), (2, 4), (3, 5), (0, 5)]


def test_each_member_of_a_batch_decides_for_itself():
    tx = optcore.guard(INNER)
    g = jnp.array([[1.0, 2.0], [1.0, jnp.nan], [3.0, 4.0]])
    updates, state = jax.vmap(lambda g: tx.update(g, tx.init(g)))(g)
    assert np.any(updates != 0, axis=1).tolist() == [True, False, True]
    assert state.skipped.tolist() == [0, 1, 0]
    assert state.inner.count.tolist() == [1, 0, 1]


def test_nothing_is_called_on_the_host():
    tx = optcore.guard(INNER)
    text = str(jax.make_jaxpr(tx.update)(GOOD, tx.init(GOOD)))
    assert "callback" not in text


def test_derivatives_of_a_skipped_step():
    """A discarded step is computed from zeros: the derivative is 0, not NaN."""

    g = jnp.array([1.0, jnp.nan])

    def moved(rate):
        tx = optcore.guard(optcore.sgd(rate))
        return jnp.sum(tx.update(g, tx.init(g))[0])

    assert jax.grad(moved)(1.0) == 0


def test_parameters_and_extra_arguments_reach_the_inner_one():
    tx = optcore.guard(optcore.chain(optcore.add_decayed_weights(0.5), optcore.polyak_sgd()))
    p = jnp.array([2.0, 4.0])
    updates, _ = tx.update(jnp.ones(2), tx.init(p), p, value=jnp.float32(1.0))
    g = np.array([2.0, 3.0])
    np.testing.assert_allclose(updates, -g / np.sum(g**2), rtol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        optcore.guard,
        lambda inner: optcore.accumulate(inner, 2),
        optcore.skip_on_spike,
        optcore.dynamic_loss_scale,
        lambda inner: optcore.guard(optcore.chain(optcore.clip(1.0), optcore.guard(inner))),
    ],
)
def test_a_loss_scale_stands_outside(wrap):
    with pytest.raises(ValueError, match=r"dynamic_loss_scale must be outside"):
        wrap(optcore.chain(optcore.dynamic_loss_scale(INNER), optcore.scale(1.0)))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optcore.route(("a", optcore.trace(0.9)), ("*", tx)),
        lambda tx: optcore.route(("a", tx), labels="a"),
        lambda tx: optcore.switch([optcore.trace(0.9), tx], [2]),
        lambda tx: optcore.graft(optcore.trace(0.9), tx),
        lambda tx: optcore.graft(tx, optcore.trace(0.9)),
    ],
)
def test_a_loss_scale_is_no_part_among_others(wrap):
    with pytest.raises(ValueError, match=r"be outside, .* one part among others"):
        wrap(optcore.dynamic_loss_scale(optcore.trace(0.9)))


def test_what_happens_must_be_known():
    with pytest.raises(ValueError, match="on_nonfinite must be one of 'skip', 'zero', got 'raise'"):
        optcore.guard(INNER, "raise")
