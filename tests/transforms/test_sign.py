"""The sign, real and complex."""

import jax.numpy as jnp
import numpy as np

import optcore
from tests import oracles


def test_sign():
    g = {"w": jnp.array([3.0, -1e-30, 0.0, -jnp.inf]), "z": jnp.array([3 - 4j, 0j])}
    tx = optcore.scale_by_sign()
    u, _ = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(u["w"], [1.0, -1.0, 0.0, -1.0])
    np.testing.assert_allclose(u["z"], [0.6 - 0.8j, 0], rtol=1e-6)


def test_a_nan_has_no_sign():
    tx = optcore.scale_by_sign()
    assert np.isnan(tx.update(jnp.float32(jnp.nan), tx.init(0.0))[0])


def test_takes_row_sparse_updates():
    oracles.takes_rows(optcore.scale_by_sign())
