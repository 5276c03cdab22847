"""Transformations at some steps only, compared with optax's, and what is refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore


def every_third(step):
    return step % 3 == 1


def run(tx, steps=7, **extra):
    state, updates = tx.init(jnp.zeros(2)), []
    for t in range(steps):
        update, state = tx.update(jnp.array([1.0, -2.0]) * (t + 1), state, **extra)
        updates.append(update)
    return np.stack(updates), state


@pytest.mark.parametrize("name", ["conditionally_transform", "conditionally_mask"])
def test_like_optax(name):
    optax = pytest.importorskip("optax", reason="they are optax's")
    ours, state = run(getattr(optcore, name)(optcore.trace(0.9), every_third))
    theirs, other = run(getattr(optax, name)(optax.trace(0.9), every_third))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert type(state)._fields == type(other)._fields
    assert state.step == other.step == 7
    np.testing.assert_allclose(state.inner_state.trace, other.inner_state.trace, rtol=1e-6)


@pytest.mark.parametrize("name", ["conditionally_transform", "conditionally_mask"])
def test_without_it_the_state_stays(name):
    """Also in low precision, where the types of both branches must agree."""
    tx = getattr(optcore, name)(optcore.scale_by_adam(), lambda step: step < 1)
    g = {"w": jnp.ones(2, jnp.bfloat16), "none": None}
    _, first = tx.update(g, tx.init(g))
    updates, second = jax.jit(tx.update)(g, first)
    chex.assert_trees_all_equal(second.inner_state, first.inner_state)
    wanted = 1.0 if name == "conditionally_transform" else 0.0
    np.testing.assert_array_equal(updates["w"], wanted)
    assert (first.step, second.step) == (1, 2)


def test_inner_does_not_run():
    """A real branch: what it would compute is not computed."""
    tx = optcore.conditionally_mask(optcore.sgd(0.1), lambda step: step < 1)
    text = str(jax.make_jaxpr(tx.update)(jnp.ones(2), tx.init(jnp.ones(2))))
    assert "cond[" in text


def test_extra_arguments_are_forwarded_if_asked_for():
    def if_low(step, value):
        return value < 1

    tx = optcore.conditionally_mask(optcore.sgd(1.0), if_low, forward_extra_args=True)
    np.testing.assert_array_equal(run(tx, 1, value=0.5)[0], [[-1, 2]])
    np.testing.assert_array_equal(run(tx, 1, value=2.0)[0], [[0, 0]])
    deaf = optcore.conditionally_mask(optcore.sgd(1.0), if_low)
    with pytest.raises(TypeError, match="value"):
        run(deaf, 1, value=0.5)


@pytest.mark.parametrize("name", ["conditionally_transform", "conditionally_mask"])
def test_what_the_condition_names_is_taken(name):
    """So that `strict` lets it pass, a near miss is an error, and others are for others."""
    make = getattr(optcore, name)
    tx = make(optcore.scale(2.0), lambda step, *, value: value < 1, forward_extra_args=True)
    np.testing.assert_array_equal(run(optcore.strict(tx), 1, value=0.5)[0], [[2, -4]])
    np.testing.assert_array_equal(run(tx, 1, value=0.5, tag=3)[0], [[2, -4]])
    with pytest.raises(TypeError, match="nothing takes 'valeu'; did you mean 'value'"):
        run(tx, 1, valeu=0.5)
    everything = make(optcore.scale(2.0), lambda step, **extra: extra["tag"] < 1, True)
    np.testing.assert_array_equal(run(everything, 1, tag=0)[0], [[2, -4]])
    deaf = optcore.strict(make(optcore.scale(2.0), every_third))
    with pytest.raises(TypeError, match="nothing in it takes 'value'"):
        run(deaf, 1, value=0.5)


@pytest.mark.parametrize("function", [lambda step: step, lambda step: jnp.ones(2, bool)])
@pytest.mark.parametrize("name", ["conditionally_transform", "conditionally_mask"])
def test_the_condition_is_a_boolean_scalar(name, function):
    tx = getattr(optcore, name)(optcore.scale(1.0), function)
    with pytest.raises(ValueError, match=f"{name}: should_transform_fn must give a boolean scalar"):
        run(tx, 1)
    with pytest.raises(TypeError, match=f"{name}: should_transform_fn must be a function of the"):
        getattr(optcore, name)(optcore.scale(1.0), True)


def test_an_optimizer_does_not_pass_gradients():
    for inner in (optcore.adam(0.1), optcore.chain(optcore.clip(1.0), optcore.sgd(0.1))):
        with pytest.raises(ValueError, match=r"gives steps of descent .*conditionally_mask gives"):
            optcore.conditionally_transform(inner, every_third)
