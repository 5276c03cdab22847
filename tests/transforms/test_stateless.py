"""Transformations without memory."""

import jax
import jax.numpy as jnp
import numpy as np

import optcore
from tests import oracles


def test_identity():
    g = {**oracles.start(), "none": None}
    tx = optcore.identity()
    u, state = tx.update(g, tx.init(g))
    assert state == optcore.EmptyState()
    assert u["none"] is None
    for name in ("w", "z"):
        np.testing.assert_array_equal(u[name], g[name])


def test_set_to_zero_is_exact_also_where_nothing_is_finite():
    g = {"w": jnp.array([jnp.nan, -jnp.inf, 3.0]), "z": jnp.array([1 + 1j]), "none": None}
    tx = optcore.transforms.set_to_zero()
    u, _ = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(u["w"], np.zeros(3))
    np.testing.assert_array_equal(u["z"], np.zeros(1, np.complex64))
    assert u["z"].dtype == jnp.complex64
    assert u["none"] is None


def test_the_function_sees_updates_and_parameters():
    def f(updates, params):
        return jax.tree.map(lambda u, p: u - 2 * p, updates, params)

    tx = optcore.stateless(f)
    g, p = jnp.array([1.0]), jnp.array([3.0])
    state = tx.init(p)
    assert state == optcore.EmptyState()
    u, state = tx.update(g, state, p)
    assert u.item() == -5.0
    assert state == optcore.EmptyState()


def test_without_parameters_the_function_gets_none():
    seen = []
    tx = optcore.stateless(lambda updates, params: seen.append(params) or updates)
    tx.update(jnp.ones(1), tx.init(jnp.ones(1)))
    assert seen == [None]


def test_equality_is_that_of_the_function():
    assert optcore.stateless(jnp.sign) == optcore.stateless(jnp.sign)
    assert optcore.stateless(jnp.sign) != optcore.stateless(jnp.tanh)


def test_takes_row_sparse_updates():
    oracles.takes_rows(optcore.transforms.set_to_zero())
