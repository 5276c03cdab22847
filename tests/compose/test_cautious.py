"""Cautious masking: the three published scalings, the mask, and HeavyBall's numbers."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

SCALINGS = ("c_adamw", "c_lion", "heavyball")

FACTORS = {
    "c_adamw": lambda n, k: 1 / max(k / n, 1e-3),
    "c_lion": lambda n, k: n / (k + 1),
    "heavyball": lambda n, k: n / max(k, 1),
}
"""By the number of elements and of those that agree, as each code writes it."""


def cautious_momentum(w, grads, lr, decay, factor):
    """Gradient descent with momentum, masked."""
    m = np.zeros_like(w)
    for g in grads:
        m = decay * m + g
        mask = (m.conj() * g).real > 0
        w = w - lr * factor(mask.size, mask.sum()) * mask * m
        yield w


@pytest.mark.parametrize("scaling", SCALINGS)
def test_momentum(scaling):
    oracle = functools.partial(cautious_momentum, lr=0.3, decay=0.9, factor=FACTORS[scaling])
    oracles.agrees(optcore.cautious(optcore.sgd(0.3, 0.9), scaling), oracle)
    direction = optcore.cautious(optcore.trace(0.9), scaling, gives="directions")
    oracles.agrees(optcore.chain(direction, optcore.scale(-0.3)), oracle)


def test_golden():
    tx = optcore.cautious(optcore.adam(0.01, b2=0.99), "heavyball")
    oracles.matches_golden(tx, "heavyball-3.2.1/AdamW:caution{'lr': 0.01, 'caution': True}")


def against(n, disagreeing, scaling, u=-1.0):
    """The update of `n` equal steps, of which some disagree with their gradients."""
    g = jnp.ones(n).at[:disagreeing].set(-1.0)
    tx = optcore.cautious(optcore.stateless(lambda g, p: jnp.full_like(g, u)), scaling)
    return np.asarray(tx.update(g, tx.init(g))[0])


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("n", "disagreeing"), [(8, 0), (8, 3), (8, 8), (5000, 4999), (1, 0)])
def test_factor(scaling, n, disagreeing):
    u = against(n, disagreeing, scaling)
    np.testing.assert_array_equal(u[:disagreeing], 0)
    expected = -FACTORS[scaling](n, n - disagreeing)
    np.testing.assert_allclose(u[disagreeing:], expected, rtol=1e-6)
    # Only the authors' AdamW bounds the factor, and only their Lion shrinks what agrees.
    if disagreeing == 4999:
        assert u[-1] == {"c_adamw": -1000, "c_lion": -2500, "heavyball": -5000}[scaling]
    if disagreeing == 0:
        assert (u[-1] == -1) == (scaling != "c_lion")


@pytest.mark.parametrize("scaling", ["c_adamw", "heavyball"])
def test_what_agrees_everywhere_stays_to_the_bit(scaling):
    g, plain = oracles.start(), optcore.sgd(0.3)
    tx = optcore.cautious(plain, scaling)
    chex.assert_trees_all_equal(tx.update(g, tx.init(g))[0], plain.update(g, plain.init(g))[0])


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [("c_adamw", [-4, 0, 0, 0]), ("c_lion", [-2, 0, 0, 0]), ("heavyball", [-1, -1, 0, 0])],
)
def test_zeros_agree_only_in_heavyball(scaling, expected):
    g, d = jnp.array([1.0, 0.0, 2.0, 0.0]), jnp.array([-1.0, -1.0, 0.0, 0.0])
    tx = optcore.cautious(optcore.stateless(lambda g, p: d), scaling)
    np.testing.assert_array_equal(tx.update(g, tx.init(g))[0], expected)


def test_the_product_of_small_numbers_does_not_vanish():
    g = jnp.array([1e-30, 1e-30])
    tx = optcore.cautious(optcore.sgd(1e-5))
    np.testing.assert_allclose(tx.update(g, tx.init(g))[0], [-1e-35, -1e-35], rtol=1e-6)


@pytest.mark.parametrize("place", ["update", "gradient"])
def test_nan_is_not_masked_away(place):
    nan = jnp.array([jnp.nan, 1.0])
    g, d = (nan, -jnp.ones(2)) if place == "gradient" else (jnp.ones(2), -nan)
    tx = optcore.cautious(optcore.stateless(lambda g, p: d))
    u = tx.update(g, tx.init(g))[0]
    assert np.isnan(u[0]) == (place == "update")
    assert u[1] == -2


def test_the_state_is_that_of_the_inner_one():
    params, (g, h) = oracles.start(), oracles.gradients(2)
    tx = optcore.cautious(optcore.adam(0.1))
    state, inner = tx.init(params), optcore.adam(0.1).init(params)
    for grads in (g, h):
        _, state = tx.update(grads, state)
        _, inner = optcore.adam(0.1).update(grads, inner)
    chex.assert_trees_all_close(state.inner, inner, rtol=1e-6)


def test_decay_outside_is_not_masked():
    tx = optcore.chain(
        optcore.cautious(optcore.scale(-1.0), gives="directions"),
        optcore.add_decayed_weights(0.5),
    )
    params = jnp.array([2.0])
    u, _ = tx.update(jnp.array([1.0]), tx.init(params), params)
    np.testing.assert_array_equal(u, [1.0])


@pytest.mark.parametrize(
    ("inner", "gives", "expected"),
    [
        (optcore.scale_by_adam(), "steps", "scale_by_adam gives directions, expected steps"),
        (optcore.adam(0.1), "directions", "adam gives steps, expected directions"),
    ],
)
def test_the_wrong_sign_is_an_error(inner, gives, expected):
    with pytest.raises(ValueError, match=expected):
        optcore.cautious(inner, gives=gives)


def test_unknown_scaling():
    with pytest.raises(ValueError, match="'c_adamw', 'c_lion', 'heavyball', got 'mean'"):
        optcore.cautious(optcore.sgd(0.1), "mean")


def test_a_foreign_pair_may_stand_inside():
    optax = pytest.importorskip("optax", reason="the foreign pair is optax's")
    g = jnp.array([3.0, -2.0])
    tx = optcore.cautious(optax.sgd(0.1))
    np.testing.assert_allclose(jax.jit(tx.update)(g, tx.init(g))[0], [-0.3, 0.2], rtol=1e-6)
