"""Sums that are given every k-th step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore


def given(tx, grads, params=0.0):
    state, made = tx.init(jnp.asarray(params)), []
    for g in grads:
        update, state = tx.update(None if g is None else jnp.float32(g), state)
        made.append(None if update is None else float(update))
    return made, state


GRADS = [1.0, 2.0, -4.0, 8.0, 16.0, 32.0, 64.0]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_it_is_optax(k):
    state, expected = optax.apply_every(k).init(jnp.float32(0.0)), []
    with jax.numpy_dtype_promotion("standard"):
        for g in GRADS:
            update, state = optax.apply_every(k).update(jnp.float32(g), state)
            expected.append(float(update))
    assert given(optcore.apply_every(k), GRADS)[0] == expected


def test_every_update_is_given_once():
    made, state = given(optcore.apply_every(3), GRADS)
    assert sum(made) + float(state.grad_acc) == sum(GRADS)
    assert made == [0, 0, -1.0, 0, 0, 56.0, 0]
    assert int(state.count) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_spoils_one_sum(bad):
    made, state = given(optcore.apply_every(2), [1.0, bad, 2.0, 3.0, 4.0])
    assert made[0] == 0.0
    assert not np.isfinite(made[1])
    assert made[2:] == [0.0, 5.0, 0.0]
    assert float(state.grad_acc) == 4.0
    made, _ = given(optcore.apply_every(2), [bad, 1.0, 2.0, 3.0])
    assert made[0] == 0.0
    assert made[2:] == [0.0, 5.0]


def test_a_step_without_a_gradient_loses_and_repeats_nothing():
    made, _ = given(optcore.apply_every(2), [1.0, 2.0, None, 4.0, 8.0, None, 16.0, 32.0])
    assert made == [0.0, 3.0, None, 4.0, 0.0, None, 0.0, 56.0]


def test_sums_of_narrow_gradients_are_float32():
    tx = optcore.apply_every(2)
    state = tx.init(jnp.bfloat16(0.0))
    for g in (256.0, 1.0):
        update, state = tx.update(jnp.bfloat16(g), state, jnp.bfloat16(0.0))
    assert float(update) == 257.0


def test_a_wrong_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="k must lie in"):
        optcore.apply_every(0)
