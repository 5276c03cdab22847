"""The error after too many skipped steps: on the host, and under checkify."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

import optcore

INNER = optcore.adam(0.1)
BAD = jnp.array([1.0, jnp.nan])
SKIPPING = {
    "guard": optcore.guard(INNER),
    "zeroing": optcore.guard(INNER, "zero"),
    "accumulate": optcore.accumulate(INNER, 2),
    "loss scale": optcore.dynamic_loss_scale(INNER),
    "skip_on_spike": optcore.skip_on_spike(INNER),
    "deep inside": optcore.chain(optcore.scale(1.0), optcore.accumulate(optcore.guard(INNER), 2)),
}


def after(tx, steps):
    state = tx.init(BAD)
    for _ in range(steps):
        _, state = tx.update(BAD, state)
    return state


@pytest.mark.parametrize("tx", SKIPPING.values(), ids=SKIPPING)
def test_everything_that_skips_is_found(tx):
    state = after(tx, 2)
    before = jax.tree.map(np.array, state)
    optcore.check({"optimizer": state}, consecutive=3)
    with pytest.raises(FloatingPointError, match="2 steps in a row were skipped"):
        optcore.check({"optimizer": state}, consecutive=2)
    jax.tree.map(np.testing.assert_array_equal, state, before)
    _, state = tx.update(jnp.ones(2), state)
    optcore.check(state, consecutive=1)


def test_the_message_names_the_place():
    tx = optcore.chain(optcore.scale(1.0), optcore.guard(INNER))
    with pytest.raises(FloatingPointError, match=r"10 steps .* \(at '1/skipped'\)"):
        optcore.check(after(tx, 10))


def test_one_member_is_enough():
    tx = optcore.guard(INNER)
    g = jnp.array([[1.0, 1.0], [1.0, jnp.nan]])
    _, state = jax.vmap(lambda g: tx.update(g, tx.init(g)))(g)
    with pytest.raises(FloatingPointError, match="1 steps"):
        optcore.check(state, consecutive=1)


def test_a_parameter_of_that_name_is_no_counter():
    params = {"skipped": jnp.full(2, 99.0)}
    tx = optcore.guard(optcore.chain(optcore.transforms.add_decay_to_init(0.1), INNER))
    optcore.check(tx.init(params), consecutive=1)


def test_under_checkify():
    tx = optcore.guard(INNER)

    def step(params, state, g):
        updates, state = tx.update(g, state)
        optcore.check(state, consecutive=2)
        return optcore.apply_updates(params, updates), state

    checked = jax.jit(checkify.checkify(step))
    params = jnp.ones(2)
    state, errors = tx.init(params), []
    for g in (jnp.ones(2), BAD, BAD, jnp.ones(2)):
        error, (params, state) = checked(params, state, g)
        errors.append(error.get())
    assert [e is not None for e in errors] == [False, False, True, False]
    assert "2 steps in a row were skipped" in errors[2]
    assert np.isfinite(params).all()


def test_under_jit_alone_it_cannot_raise():
    state = SKIPPING["guard"].init(BAD)
    with pytest.raises(ValueError, match="checkify"):
        jax.jit(lambda state: optcore.check(state))(state)


def test_what_cannot_be_checked():
    with pytest.raises(ValueError, match="nothing in this state counts skipped steps"):
        optcore.check(INNER.init(BAD))
    with pytest.raises(ValueError, match="consecutive must be at least 1, got 0"):
        optcore.check(SKIPPING["guard"].init(BAD), consecutive=0)
