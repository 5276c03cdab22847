"""Grafting: the norms of one, the directions of the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def norm(x, axis=None):
    return np.sqrt(np.sum(np.abs(np.asarray(x)) ** 2, axis=axis, keepdims=True))


def grafted(w, grads, axis=None):
    """The length of RMSProp's step along that of momentum."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for g in grads:
        m = 0.9 * m + g
        v = 0.7 * v + 0.3 * np.abs(g) ** 2
        far = 0.2 * g / (np.sqrt(v) + 0.1)
        w = w - norm(far, axis) / norm(m, axis) * m
        yield w


def both(axis=None):
    return optcore.graft(
        optcore.rmsprop(0.2, 0.7, 0.1, eps_in_sqrt=False), optcore.sgd(3.0, 0.9), axis=axis
    )


@pytest.mark.parametrize("axis", [None, 0, -1, (0,)])
def test_against_the_formula(axis):
    oracles.agrees(both(axis), lambda w, grads: grafted(w, grads, axis))


@pytest.mark.parametrize(("axis", "blocks"), [(None, None), (1, 1), (0, 0), ((0, 1), None)])
def test_norms_are_equal_and_the_cosine_is_one(axis, blocks):
    rng = np.random.default_rng(0)
    params = oracles.single({"w": rng.normal(size=(3, 4))})
    tx, state = both(axis), both(axis).init(params)
    # Far apart in size, and one block in which they are tiny.
    grads = oracles.single({"w": rng.normal(size=(3, 4)) * np.array([[1e-12], [1.0], [1e6]])})
    for _ in range(2):
        u, state = tx.update(grads, state)
    m, d = (t.init(params) for t in (tx.arguments["magnitude"], tx.arguments["direction"]))
    for _ in range(2):
        far, m = tx.arguments["magnitude"].update(grads, m)
        where, d = tx.arguments["direction"].update(grads, d)
    u, far, where = (oracles.double(x["w"]) for x in (u, far, where))
    np.testing.assert_allclose(norm(u, blocks), norm(far, blocks), rtol=1e-6)
    cosine = (u * where).sum(axis=blocks, keepdims=True) / (norm(u, blocks) * norm(where, blocks))
    np.testing.assert_allclose(cosine, 1, rtol=1e-6)


def test_an_optimizer_grafted_to_itself_is_itself():
    params, grads = oracles.start(), oracles.gradients(5)
    tx = optcore.adam(0.1)
    *_, expected = oracles.run(tx, params, grads)
    *_, got = oracles.run(optcore.graft(tx, tx), params, grads)
    oracles.close(got, expected, params)


@pytest.mark.parametrize("size", [1e-37, 1e-20, 1.0, 1e25, 1e38])
def test_any_length_of_the_direction(size):
    direction = optcore.stateless(lambda g, p: jnp.array([0.6, -0.8]) * size)
    tx = optcore.graft(optcore.sgd(0.1), direction)
    u, _ = tx.update(jnp.array([30.0, 40.0]), tx.init(jnp.zeros(2)))
    np.testing.assert_allclose(u, [3.0, -4.0], rtol=1e-6)


def test_a_direction_of_zero_gives_zero_with_finite_derivatives():
    tx = optcore.graft(optcore.sgd(0.1), optcore.transforms.set_to_zero(), axis=0)
    g = jnp.array([[1.0, 0.0], [2.0, 0.0]])
    np.testing.assert_array_equal(tx.update(g, tx.init(g))[0], jnp.zeros((2, 2)))
    tx = optcore.graft(optcore.sgd(0.1), optcore.sgd(1.0), axis=0)
    jacobian = jax.jacobian(lambda g: tx.update(g, tx.init(g))[0])(g)
    assert np.isfinite(jacobian).all()


def test_nan_in_the_direction_is_not_taken_for_zero():
    tx = optcore.graft(optcore.sgd(0.1), optcore.stateless(lambda g, p: g * jnp.nan))
    assert np.isnan(tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0]).all()


def test_a_scalar_is_one_block():
    tx = optcore.graft(optcore.sgd(0.1), optcore.adam(1.0), axis=0)
    u, _ = tx.update(jnp.float32(-7.0), tx.init(jnp.float32(0.0)))
    assert u == pytest.approx(0.7)


def test_both_keep_their_states_and_schedules():
    tx = optcore.graft(
        optcore.sgd(optcore.linear_schedule(1.0, 0.0, 4)), optcore.sgd(1.0, momentum=0.5)
    )
    state = tx.init(jnp.zeros(1))
    for _ in range(3):
        u, state = tx.update(jnp.ones(1), state)
    magnitude, direction = state.inner
    assert magnitude.count == 3
    np.testing.assert_array_equal(direction[0].trace, [1.75])
    assert optcore.read(tx, state, "magnitude.learning_rate") == 0.5
    np.testing.assert_array_equal(u, [-0.5])
