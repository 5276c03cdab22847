"""Multiplication by a number, constant or scheduled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


@pytest.mark.parametrize(
    ("tx", "factor"),
    [
        (optcore.scale(-1.7), -1.7),
        (optcore.scale(0.0), 0.0),
        (optcore.scale_by_learning_rate(0.3), -0.3),
        (optcore.scale_by_learning_rate(0.3, flip_sign=False), 0.3),
    ],
)
def test_multiplies_by_a_number(tx, factor):
    g = oracles.start()
    u, _ = tx.update(g, tx.init(g))
    for name in g:
        np.testing.assert_allclose(u[name], np.float32(factor) * g[name], rtol=1e-6)
        assert u[name].dtype == g[name].dtype


@pytest.mark.parametrize(
    ("tx", "sign"),
    [
        (optcore.scale(optcore.polynomial_schedule(1.0, 3.0, 2.0, 4)), 1),
        (optcore.scale(lambda count: 3 - 2 * (1 - jnp.minimum(count, 4) / 4) ** 2), 1),
        (optcore.scale_by_learning_rate(optcore.polynomial_schedule(1.0, 3.0, 2.0, 4)), -1),
    ],
    ids=["scale", "function", "rate"],
)
def test_a_schedule_counts_the_updates_from_zero(tx, sign):
    state = tx.init(jnp.float32(0))
    for t in range(6):
        u, state = tx.update(jnp.float32(2.0), state)
        assert u == pytest.approx(sign * 2 * (3 - 2 * (1 - min(t, 4) / 4) ** 2))
    assert state.count == 6


def test_narrow_updates_come_out_wide():
    g = jnp.array([1.0, 3.0], jnp.bfloat16)
    u, _ = optcore.scale(1 / 3).update(g, optcore.EmptyState())
    assert u.dtype == jnp.float32
    np.testing.assert_allclose(u, [1 / 3, 1], rtol=1e-7)


def test_the_derivative_with_respect_to_the_factor_is_the_update():
    g = jnp.array([1.0, 3.0])

    def total(tx):
        return tx.update(g, tx.init(g))[0].sum()

    assert jax.grad(total)(optcore.scale(2.0)) == optcore.scale(4.0)
    assert jax.tree.leaves(jax.grad(total)(optcore.scale_by_learning_rate(2.0))) == [-4.0]


def test_a_rate_is_not_negative():
    with pytest.raises(ValueError, match="learning_rate must lie in"):
        optcore.scale_by_learning_rate(-0.1)


def test_defaults():
    # optax also has a rate of None, for no scaling and no sign; here a rate is given.
    assert oracles.defaults(optcore.scale_by_learning_rate) == {"flip_sign": True}


def test_takes_row_sparse_updates():
    oracles.takes_rows(optcore.scale(-0.5))
