"""Loss scaling: the order, the scale, float16 where it matters, and the helper for the loss."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.safety.test_guard import sum_of_squares

INNER = optcore.adam(optcore.linear_schedule(0.1, 0.0, 100))


def test_the_scale_is_divided_out_exactly():
    """Also of subnormal gradients, and whatever the scale."""
    g = jnp.array([1.1, -3e-40, 7e-5], jnp.float32)
    for scale in (2.0**-8, 1.0, 2.0**24):
        tx = optcore.dynamic_loss_scale(optcore.trace(0.0), scale, min_scale=2.0**-8)
        updates, _ = tx.update(g[::2] * scale, tx.init(g[::2]))
        np.testing.assert_array_equal(updates, g[::2])


def scales(tx, overflows):
    """The scale after each step."""
    state, found = tx.init(jnp.float32(0)), []
    for overflow in overflows:
        _, state = tx.update(jnp.float32(jnp.inf if overflow else 1.0), state)
        found.append(float(optcore.loss_scale(state)))
    return found, state


def test_how_the_scale_adapts():
    tx = optcore.dynamic_loss_scale(
        optcore.sgd(0.1), 64.0, growth_steps=3, factor=4, min_scale=16.0, max_scale=512.0
    )
    found, state = scales(tx, [0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0])
    wanted = [64, 64, 256, 256, 256, 512, 128, 128, 128, 32, 16, 16, 16, 16, 64, 64]
    assert found == wanted
    assert (state.skipped, state.total_notfinite, state.finite_count) == (0, 4, 1)


def test_a_skipped_step_leaves_no_trace():
    tx = optcore.dynamic_loss_scale(INNER)
    _, before = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    updates, after = tx.update(jnp.array([1.0, -jnp.inf]), before)
    np.testing.assert_array_equal(updates, 0)
    chex.assert_trees_all_equal(after.inner, before.inner)
    assert after.scale == before.scale / 2
    assert (after.skipped, after.total_notfinite) == (1, 1)


@pytest.mark.parametrize(
    "inner",
    [
        optcore.guard(INNER),
        optcore.guard(INNER, "zero"),
        optcore.accumulate(INNER, 1),
        optcore.chain(optcore.guard(INNER)),
    ],
    ids=lambda inner: repr(inner)[:12],
)
def test_around_what_skips_by_itself(inner):
    """The step is skipped once, by either wrapper; a zeroing guard does not see it."""
    tx = optcore.dynamic_loss_scale(inner, 1.0)
    _, before = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    updates, after = tx.update(jnp.array([1.0, jnp.inf]), before)
    np.testing.assert_array_equal(updates, 0)
    again, after = tx.update(jnp.ones(2), after)
    wanted, other = tx.update(jnp.ones(2), before)
    chex.assert_trees_all_equal(again, wanted)
    assert optcore.read(tx, after, "learning_rate") == optcore.read(tx, other, "learning_rate")


def test_an_update_that_is_not_finite_says_nothing_of_the_scale():
    tx = optcore.dynamic_loss_scale(optcore.guard(sum_of_squares()), 1.0)
    updates, state = tx.update(jnp.array([1e30, 1.0]), tx.init(jnp.ones(2)))
    np.testing.assert_array_equal(updates, 0)
    assert (state.scale, state.skipped, state.inner.skipped) == (1, 0, 1)


def test_no_recompilation():
    tx = optcore.dynamic_loss_scale(INNER, growth_steps=1)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(g, state):
        return tx.update(g * optcore.loss_scale(state), state)[1]

    state = tx.init(jnp.ones(2))
    for g in jnp.array([[1.0, 1.0], [1.0, jnp.nan], [1.0, 1.0]]):
        state = step(g, state)
    assert state.scale == 2.0**16


def test_float16_trains_where_it_would_stand_still():
    """Gradients of 1e-9, which float16 cannot hold, and a scale that has to come down first."""

    def loss(w, x):
        return jnp.sum((1e-3 * (w - x)).astype(jnp.float16) ** 2) * jnp.float16(1e-3)

    def train(tx, grad):
        def body(carry, x):
            w, state = carry
            updates, state = tx.update(grad(state, w, x), state, w)
            return (optcore.apply_updates(w, updates), state), None

        w = jnp.ones(3, jnp.float16)
        xs = jnp.broadcast_to(jnp.float16(0.5), (200, 3))
        return jax.lax.scan(body, (w, tx.init(w)), xs)[0]

    inner = optcore.sgd(optcore.constant_schedule(1e7))
    still, _ = train(inner, lambda state, w, x: jax.grad(loss)(w, x))
    np.testing.assert_array_equal(still, 1)

    scaled = optcore.scaled_value_and_grad(loss)
    tx = optcore.dynamic_loss_scale(inner, 2.0**24, growth_steps=50)
    moved, state = jax.jit(lambda: train(tx, lambda *a: scaled(*a)[1]))()
    np.testing.assert_allclose(moved, 0.5, atol=0.05)
    assert state.scale < 2.0**24
    assert state.total_notfinite >= 1


@pytest.mark.parametrize("has_aux", [False, True])
@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1)])
def test_value_and_gradient_of_a_scaled_loss(argnums, has_aux):
    def loss(a, b, *, power=2):
        value = jnp.sum(a * b**power)
        return (value, {"seen": a}) if has_aux else value

    tx = optcore.dynamic_loss_scale(INNER, 8.0)
    a, b = jnp.array([1.0, 2.0]), jnp.array([3.0, -1.0])
    state = {"nested": (tx.init(a), 3)}
    out, grads = optcore.scaled_value_and_grad(loss, argnums, has_aux)(state, a, b, power=3)
    wanted, true = jax.value_and_grad(loss, argnums, has_aux)(a, b, power=3)
    chex.assert_trees_all_close(out, wanted)
    chex.assert_trees_all_close(grads, jax.tree.map(lambda g: 8 * g, true))


def test_a_loss_that_overflows_when_scaled():
    """In float16; the value is the true one, and its gradient does not overflow."""
    tx, w = optcore.dynamic_loss_scale(INNER, 2.0**15), jnp.float16(0.25)
    value, grad = optcore.scaled_value_and_grad(lambda w: w * w + 3)(tx.init(w), w)
    assert (value, grad) == (3.0625, 2.0**14)


def test_where_there_is_no_scale():
    with pytest.raises(ValueError, match="expected a state with one loss scale in it, found 0"):
        optcore.loss_scale(INNER.init(jnp.ones(2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial_scale": 1000.0}, "initial_scale must be a power of two, got 1000"),
        ({"min_scale": 3.0}, "min_scale must be a power of two"),
        ({"max_scale": 3e5}, "max_scale must be a power of two"),
        ({"factor": 3}, "factor must be a power of two, got 3"),
        ({"initial_scale": 0.5}, "expected min_scale ≤ initial_scale ≤ max_scale, got 1.0, 0.5"),
        ({"max_scale": 8.0}, "expected min_scale ≤ initial_scale ≤ max_scale"),
        ({"initial_scale": 0.0}, "initial_scale must lie in"),
        ({"factor": 1}, "factor must lie in"),
        ({"growth_steps": 0}, "growth_steps must lie in"),
    ],
)
def test_impossible_scales(arguments, message):
    with pytest.raises(ValueError, match=f"dynamic_loss_scale: {message}"):
        optcore.dynamic_loss_scale(INNER, **arguments)
